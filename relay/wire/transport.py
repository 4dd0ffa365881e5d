"""A line that uses Twisted's transport, of whatever kind."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableDescriptor, IPushProducer
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from relay.wire.interfaces import LineEnd, Received, in_transport


@implementer(IPushProducer)
class TransportLine:
    """A L{relay.wire.interfaces.Line} that passes everything to the transport."""

    direct = False
    quiet_seconds: float | None = None  # when it hears of the loss, the socket is closed

    def __init__(self, transport: Any, end: LineEnd, received: Received) -> None:
        self.received = received
        self.socket = getattr(transport, "socket", None)
        self._transport = transport
        self._end = end
        # Autobahn has no backpressure by default: sendMessage never blocks.
        transport.registerProducer(self, True)

    @property
    def queued(self) -> int:
        """Bytes that were written and not yet taken by the kernel."""
        return in_transport(self._transport)

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""
        self._transport.write(bytes(data))  # transports take no memoryview

    def pause(self) -> None:
        """Read no more for now."""
        self._transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        self._transport.resumeProducing()

    def half_close(self) -> None:
        """End the sending half once all is written, and read on. TLS ends that way anyway."""
        if _is_plain(self._transport):
            self._transport.unregisterProducer()  # it would be waited for
            self._transport.loseWriteConnection()
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection once all is written."""
        # With a producer registered, loseConnection waits for it.
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abortConnection()

    def release(self) -> None:
        """Does nothing: the transport knows of the loss."""

    # -- IPushProducer ---------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._end.blocked()

    def resumeProducing(self) -> None:
        """The transport has written all."""
        # If the peer has ended TLS meanwhile, Twisted's TLS waits for its producer for ever.
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, True)
        self._end.drained()

    def stopProducing(self) -> None:
        """Does nothing: the protocol is told of the loss by C{connectionLost}."""


def _is_plain(transport: Any) -> bool:
    """
    Whether no TLS is on top of it. Twisted's TLS passes C{loseWriteConnection} on to what is below.
    """
    is_secure = isinstance(transport, TLSMemoryBIOProtocol) or getattr(transport, "TLS", False)
    return not is_secure and IHalfCloseableDescriptor.providedBy(transport)
