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

from relay.timing.turns import drop
from relay.wire.epoll import Hub
from relay.wire.interfaces import LineEnd, Received, in_transport

READ = 65536
"""Bytes of one read."""


@implementer(IReadWriteDescriptor)
class SocketLine:
    """
    A L{relay.wire.interfaces.Line} that writes at once when nothing waits.

    It takes the transport's place at the reactor. Nothing may be written through the transport
    meanwhile; it still aborts the connection, and tells the protocol of its loss.

    @param hub: where it is watched; the reactor itself will do.
    @param transport: the one that has the socket; not TLS on top of it.
    """

    direct = True

    def __init__(
        self, hub: Hub | IReactorFDSet, transport: Any, end: LineEnd, received: Received
    ) -> None:
        self.received = received
        self.socket = transport.getHandle()
        self._hub = hub
        self._transport = transport
        self._end = end
        self._queue: list[bytes | memoryview] = []
        self._recv = self.socket.recv
        self._send = self.socket.send
        self._over = self._broken = False
        self.number: int = transport.fileno()
        transport.pauseProducing()
        hub.addReader(self)

    @property
    def queued(self) -> int:
        """Bytes that the kernel has not taken."""
        return sum(map(len, self._queue)) + in_transport(self._transport)

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""
        if self._queue:
            self._queue.append(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # full, or lost: which, is found when it is tried again
        except Exception:
            self._break()
            self._end.failed()
            return
        if sent < len(data):
            self._queue.append(memoryview(data)[sent:])
            self._hub.addWriter(self)
            self._end.blocked()

    def _break(self) -> None:
        """Nothing can be written any more; the loss is told in a turn of its own."""
        self._broken = True
        self._send = _nowhere
        self._hub.addWriter(self)

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
        if not self._over:
            self._give_back()
            self._transport.loseConnection()

    def _give_back(self) -> None:
        """Let the transport write what waits."""
        self._leave()
        queue, self._queue = self._queue, []
        if queue:
            self._transport.writeSequence([bytes(data) for data in queue])
            self._transport.resumeProducing()

    def abort(self) -> None:
        """Drop the connection."""
        self._leave()
        self._transport.abortConnection()

    def release(self) -> None:
        """The connection is lost, perhaps by the transport's own doing."""
        self._leave()
        self.received = drop  # who received has this line, a reference cycle

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._send = _nowhere
            self._hub.removeReader(self)
            self._hub.removeWriter(self)

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
            if not data:
                return CONNECTION_DONE
            self.received(data)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        except Exception:
            return self._failed()
        return None

    def doWrite(self) -> Any:
        """Write what waits."""
        if self._broken:
            return CONNECTION_LOST
        queue = self._queue
        data = queue[0] if len(queue) == 1 else b"".join(queue)
        try:
            sent = self._send(data)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        except Exception:
            return self._failed()
        if sent < len(data):
            self._queue = [memoryview(data)[sent:]]
            return None
        self._queue = []
        self._hub.removeWriter(self)
        self._end.drained()
        return None

    def _failed(self) -> Exception:
        """Tell of the exception at hand, which is of this line alone."""
        self._end.failed()
        return CONNECTION_LOST

    def connectionLost(self, reason: Failure) -> None:
        """Tell the transport, which closes the socket and tells the protocol."""
        self._leave()
        self._transport.connectionLost(reason)


def _nowhere(data: bytes | memoryview) -> int:
    """What takes all that is written once the connection is not the line's any more."""
    return len(data)
