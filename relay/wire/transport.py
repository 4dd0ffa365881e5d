"""A connection by Twisted's transport, whatever kind it is."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from relay.wire.interfaces import LineEnd, Received, in_transport


@implementer(IPushProducer)
class TransportLine:
    """A L{relay.wire.interfaces.Line}: all is left to the transport and its protocol."""

    direct = False

    def __init__(self, transport: Any, end: LineEnd, received: Received) -> None:
        self.received = received
        self.socket = getattr(transport, "socket", None)
        self._transport = transport
        self._end = end
        # Autobahn has no backpressure by default: sendMessage never blocks.
        transport.registerProducer(self, True)

    @property
    def queued(self) -> int:
        """Bytes that the kernel has not taken."""
        return in_transport(self._transport)

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait. What the transport cannot write, it must not be given."""
        self._transport.write(bytes(data))

    def pause(self) -> None:
        """Read no more for now."""
        self._transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._transport.resumeProducing()

    def hang_up(self) -> None:
        """End the connection once all is written."""
        # With a producer registered, loseConnection waits for it.
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abortConnection()

    def release(self) -> None:
        """The connection is lost; the transport knows."""

    # -- IPushProducer ---------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """More waits than the transport likes."""
        self._end.blocked()

    def resumeProducing(self) -> None:
        """The transport has written all."""
        # TLS that its peer has ended meanwhile waits for its producer, for ever.
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, True)
        self._end.drained()

    def stopProducing(self) -> None:
        """The connection is lost; C{connectionLost} says so too."""
