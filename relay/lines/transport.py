"""A connection by Twisted's transport, whatever kind it is."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from relay.lines.interfaces import LineEnd, Received


@implementer(IPushProducer)
class TransportLine:
    """A L{relay.lines.interfaces.Line}: all is left to the transport and its protocol."""

    direct = False

    def __init__(self, transport: Any, end: LineEnd, received: Received) -> None:
        self.received = received
        self._transport = transport
        self._end: LineEnd | None = end
        # Autobahn has no backpressure by default: sendMessage never blocks.
        transport.registerProducer(self, True)

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait. What the transport cannot write, it must not be given."""
        self._transport.write(bytes(data))

    def hang_up(self) -> None:
        """End the connection once all is written."""
        # With a producer registered, loseConnection waits for it.
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def release(self) -> None:
        """The connection is lost: let go of it."""
        self._end = None
        del self.received

    # -- IPushProducer ---------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """More waits than the transport likes."""
        if self._end is not None:
            self._end.blocked()

    def resumeProducing(self) -> None:
        """The transport has written all."""
        # TLS that its peer has ended meanwhile waits for its producer, for ever.
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, True)
        if self._end is not None:
            self._end.drained()

    def stopProducing(self) -> None:
        """The connection is lost; C{connectionLost} says so too."""
