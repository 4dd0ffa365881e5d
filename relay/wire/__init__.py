"""
How the bytes of one open connection are read and written.

A line is the byte stream of one connection. It uses the socket itself where that is possible, else
Twisted's transport: L{relay.wire.choice} chooses.
"""
