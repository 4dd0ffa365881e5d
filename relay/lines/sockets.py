"""
A connection by its socket.

C{transport.write} alone costs a queue, a change of what epoll watches and another turn of the
reactor; and each protocol between transport and WebSocket costs a call a chunk.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.lines.hub import Hub
from relay.lines.interfaces import LineEnd, Received

READ = 65536
"""Bytes of one read."""


@implementer(IReadWriteDescriptor)
class SocketLine:
    """
    A L{relay.lines.interfaces.Line} that writes at once when nothing waits.

    It takes the transport's place at the reactor. Nothing may be written through the transport
    meanwhile; it still aborts the connection, and tells the protocol of its loss.

    @param hub: where it is watched for reading; the reactor itself will do.
    @param transport: the one that has the socket; not TLS on top of it.
    """

    direct = True

    def __init__(
        self,
        reactor: IReactorFDSet,
        hub: Hub | IReactorFDSet,
        transport: Any,
        end: LineEnd,
        received: Received,
    ) -> None:
        self.received = received
        self._reactor = reactor
        self._hub = hub
        self._transport = transport
        self._end = end
        self._queue: list[bytes | memoryview] = []
        self._recv = transport.getHandle().recv
        self._send = transport.getHandle().send
        self._over = False
        self.number: int = transport.fileno()
        transport.pauseProducing()
        hub.addReader(self)

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""
        if self._queue:
            self._queue.append(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # full, or lost: which, is found when it is tried again
        if sent < len(data):
            self._queue.append(memoryview(data)[sent:])
            self._reactor.addWriter(self)
            self._end.blocked()

    def pause(self) -> None:
        """Read no more for now. What ends the connection is not seen either."""
        if not self._over:
            self._hub.removeReader(self)

    def resume(self) -> None:
        """Read on."""
        if not self._over:
            self._hub.addReader(self)

    def hang_up(self) -> None:
        """End the connection once all is written."""
        self._leave()
        if self._queue:
            self._transport.writeSequence([bytes(data) for data in self._queue])
            self._transport.resumeProducing()
        self._transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self._leave()
        self._transport.abortConnection()

    def release(self) -> None:
        """The connection is lost, perhaps by the transport's own doing."""
        self._leave()
        self.received = _drop  # who received has this line, a reference cycle

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._hub.removeReader(self)
            self._reactor.removeWriter(self)

    # -- IReadWriteDescriptor --------------------------------------------------------------

    def fileno(self) -> int:
        """The number of the socket; -1 when it is closed."""
        return int(self._transport.fileno())

    def logPrefix(self) -> str:
        """For what is logged while it writes."""
        return str(self._transport.logPrefix())

    def doRead(self) -> Any:
        """Read what there is, but only so much, for others wait too."""
        try:
            data = self._recv(READ)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.received(data)
        return None

    def doWrite(self) -> Any:
        """Write what waits."""
        queue = self._queue
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return CONNECTION_LOST
        if sent < len(data):
            self._queue = [memoryview(data)[sent:]]
            return None
        self._queue = []
        self._reactor.removeWriter(self)
        self._end.drained()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Tell the transport, which closes the socket and tells the protocol."""
        self._leave()
        self._transport.connectionLost(reason)


def _drop(data: bytes) -> None:
    """Nobody is there any more."""
