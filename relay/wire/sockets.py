"""
A line that uses its connection's socket.

C{transport.write} costs a queue, a change of what the epoll watches and another turn of the
reactor. Each protocol between transport and WebSocket costs a call for each chunk.
"""

from __future__ import annotations

from contextlib import suppress
from socket import SHUT_WR
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.timing.turns import drop
from relay.wire.epoll import Hub
from relay.wire.interfaces import LineEnd, Received, in_transport
from relay.wire.quiet import quiet_seconds

READ = 65536
"""Most bytes of one read."""

FIRST_READ = 256
"""
Most bytes of a line's first read. Each read of as many doubles it, up to L{READ}: what a few bytes
cost is known before many are read.
"""

LEAST_READ = 128
"""Most bytes of one read of a line whose bytes cost very much, such as empty messages."""


@implementer(IReadWriteDescriptor)
class SocketLine:
    """
    A L{relay.wire.interfaces.Line} that writes at once when nothing waits.

    It takes the transport's place at the reactor. Meanwhile nothing may be written through the
    transport. The transport still aborts the connection, and tells the protocol of its loss.

    @param hub: watches the line; the reactor itself will do.
    @param transport: the transport that has the socket, or such a wrapper of it as the PROXY
        protocol's; not TLS on top of it.
    """

    direct = True
    quiet_seconds: float | None = None

    def __init__(
        self, hub: Hub | IReactorFDSet, transport: Any, end: LineEnd, received: Received
    ) -> None:
        self.received = received
        transport = below_wrappers(transport)
        self.socket = transport.getHandle()
        self._hub = hub
        self._transport = transport
        self._end = end
        self._queue: list[bytes | memoryview] = []
        self._recv = self.socket.recv
        self._send = self.socket.send
        self._over = self._broken = self.has_more = False
        self._most = FIRST_READ
        self.number: int = transport.fileno()
        transport.pauseProducing()
        hub.addReader(self)

    @property
    def queued(self) -> int:
        """Bytes that were written and not yet taken by the kernel."""
        return sum(map(len, self._queue)) + in_transport(self._transport)

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""
        if self._queue:
            self._queue.append(data)
            return
        try:
            sent = self._send(data)
        except OSError:
            sent = 0  # the buffer is full, or the connection lost: doWrite finds which
        except Exception:
            self._break()
            self._end.failed()
            return
        if sent < len(data):
            self._queue.append(memoryview(data)[sent:])
            self._hub.addWriter(self)
            self._end.blocked()

    def _break(self) -> None:
        """Write nothing any more; the end of the connection is told in a later turn."""
        self._broken = True
        self._send = _nowhere
        self._hub.addWriter(self)

    def pause(self) -> None:
        """Read no more for now. While paused, the line does not see the connection's end either."""
        if not self._over:
            self._hub.removeReader(self)

    def resume(self) -> None:
        """Read on."""
        if not self._over:
            self._hub.addReader(self)

    def half_close(self) -> None:
        """End the sending half, and read on."""
        if not (self._over or self._broken):
            with suppress(OSError):  # the connection is lost: the next read finds it
                self.socket.shutdown(SHUT_WR)

    def hang_up(self) -> None:
        """End the connection once all is written."""
        if not self._over:
            self._give_back()
            self._transport.loseConnection()

    def _give_back(self) -> None:
        """Give the connection back to the transport, which writes what waits."""
        queue = self._queue
        self._leave()
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
        self.received = drop  # the receiver has this line: a reference cycle

    def _leave(self) -> None:
        if not self._over:
            self._over = True
            self._queue = []  # else what a lane still writes would pile up behind it
            self._send = _nowhere
            self._hub.removeReader(self)
            self._hub.removeWriter(self)

    # -- IReadWriteDescriptor --------------------------------------------------------------

    def fileno(self) -> int:
        """The number of the socket; -1 when it is closed."""
        return int(self._transport.fileno())

    def logPrefix(self) -> str:
        """The prefix of what is logged while the line writes."""
        return str(self._transport.logPrefix())

    def doRead(self) -> Any:
        """Read what there is, but not too much of it, because other lines wait too."""
        try:
            data = self._recv(self._most)
            if not data:
                return CONNECTION_DONE
            self.has_more = len(data) == self._most
            if self.has_more:
                self._most = min(2 * self._most, READ)
            self.received(data)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        except Exception:
            return self._failed()
        return None

    def read_less(self) -> None:
        """What was read took long: read less at once."""
        self._most = max(self._most // 4, LEAST_READ)

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

    def _quiet(self) -> float | None:
        return quiet_seconds(self.socket)

    def _failed(self) -> Exception:
        """Tell of the exception being handled now; it ends this line alone."""
        self._end.failed()
        return CONNECTION_LOST

    def connectionLost(self, reason: Failure) -> None:
        """Tell the transport, which closes the socket and tells the protocol."""
        self.quiet_seconds = self._quiet()
        self._leave()
        self._transport.connectionLost(reason)


def below_wrappers(transport: Any) -> Any:
    """
    The transport that has the socket. A wrapper looks like it, but its C{connectionLost} tells only
    the protocol, and the socket stays open.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def _nowhere(data: bytes | memoryview) -> int:
    """Stands in for C{socket.send} once the line no longer has the connection: drops all."""
    return len(data)
