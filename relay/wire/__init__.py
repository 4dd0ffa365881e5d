"""
How the bytes of one open connection are read and written.

The choice is made in L{relay.wire.choice}: by the socket itself where that is possible, else by
Twisted's transport.
"""
