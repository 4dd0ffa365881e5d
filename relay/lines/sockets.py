"""
A connection by its socket.

C{transport.write} alone costs a queue, a change of what epoll watches and another turn of the
reactor; and each protocol between transport and WebSocket costs a call a chunk.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from relay.lines.interfaces import LineEnd, Received

READ = 65536
"""Bytes of one read."""


class SocketLine:
    """
    A L{relay.lines.interfaces.Line} that writes at once when nothing waits.

    It stands in for C{doRead} and C{doWrite} of the transport, which stays the reactor's descriptor
    and keeps everything else: pausing, aborting, and the way a loss is told. Nothing may be
    written through the transport while the line has it.

    @param descriptor: the transport that has the socket; not TLS on top of it.
    """

    direct = True

    def __init__(
        self, reactor: IReactorFDSet, descriptor: Any, end: LineEnd, received: Received
    ) -> None:
        self.received = received
        self._reactor = reactor
        self._descriptor = descriptor
        self._end = end
        self._queue: deque[bytes | memoryview] = deque()
        self._recv = descriptor.getHandle().recv
        self._send = descriptor.getHandle().send
        descriptor.doRead = self.doRead
        descriptor.doWrite = self.doWrite

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""
        if self._queue:
            self._queue.append(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # full, or lost: which, the reactor finds when it tries again
        if sent < len(data):
            self._queue.append(memoryview(data)[sent:])
            self._reactor.addWriter(self._descriptor)
            self._end.blocked()

    def hang_up(self) -> None:
        """End the connection once all is written."""
        self._give_back()
        self._descriptor.loseConnection()

    def release(self) -> None:
        """The connection is lost: let go of it."""
        for method in ("doRead", "doWrite"):
            self._descriptor.__dict__.pop(method, None)
        self._queue.clear()
        del self.received, self._end

    def _give_back(self) -> None:
        del self._descriptor.doRead, self._descriptor.doWrite
        self._descriptor.writeSequence([bytes(data) for data in self._queue])
        self._queue.clear()

    # -- called by the reactor -------------------------------------------------------------

    def doRead(self) -> Exception | None:
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

    def doWrite(self) -> Exception | None:
        """Write what waits."""
        while self._queue:
            data = self._queue[0]
            try:
                sent = self._send(data)
            except BlockingIOError:
                return None
            except OSError:
                return CONNECTION_LOST
            if sent < len(data):
                self._queue[0] = memoryview(data)[sent:]
                return None
            self._queue.popleft()
        self._reactor.removeWriter(self._descriptor)
        self._end.drained()
        return None
