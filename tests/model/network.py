"""
A network in memory below Twisted's own TCP transport.

Sockets and the reactor's poll are imitated, and nothing above them: when a connection is lost, what
an abort does and what a paused transport does not see is decided by the code that runs in service.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from itertools import count
from typing import Any

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

HERE = IPv4Address("TCP", "127.0.0.1", 8080)
THERE = IPv4Address("TCP", "127.0.0.1", 50000)

TURNS = 5000
"""Until something goes round in circles."""

_TCP_INFO = struct.Struct("=24xI92xQ16xI")


class Endless(Exception):
    """The relay and the far ends do not come to rest."""


class Socket(socket.socket):
    """
    The relay's end of a connection, with the state of both ends.

    @ivar inbound: what has come and the relay has not read.
    @ivar outbound: what the relay wrote and the far end has not read.
    @param room: bytes of C{outbound} that the kernels take.
    """

    _numbers = count(-2, -1)  # no descriptors of the system's

    def __init__(self, room: int) -> None:
        self.inbound = bytearray()
        self.outbound = bytearray()
        self.is_closed = False
        self._room = room
        self._number = next(self._numbers)
        self._taken = 0
        self._fin = self._dead = self._deaf = self._vanished = False
        self._linger = True
        self._error: OSError | None = None

    # -- what the relay calls --------------------------------------------------------------

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = False

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """TCP_INFO: unacknowledged, acknowledged and unsent bytes."""
        return _TCP_INFO.pack(len(self.outbound), self._taken, 0)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.inbound:
            data = bytes(self.inbound[:size])
            del self.inbound[:size]
            return data
        self._raise_error()
        if self._fin or self._dead:
            return b""
        raise BlockingIOError(errno.EWOULDBLOCK, "nothing to read")

    def send(self, data: Any, flags: int = 0) -> int:
        self._raise_error()
        if self._dead:
            raise BrokenPipeError(errno.EPIPE, "broken pipe")
        room = self._room - len(self.outbound)
        if room <= 0:
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        if self._deaf:
            self._die(BrokenPipeError(errno.EPIPE, "broken pipe"))
            return len(data)
        self.outbound += bytes(data[:room])
        return min(room, len(data))

    def shutdown(self, how: int) -> None:
        """Nothing is half-closed in a session."""

    def close(self) -> None:
        self.is_closed = True
        if not self._linger or self._vanished:
            self.outbound.clear()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _die(self, error: OSError) -> None:
        self.outbound.clear()
        self._dead, self._error = True, error

    # -- what poll finds -------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        return bool(self.inbound or self._fin or self._dead)

    @property
    def is_writable(self) -> bool:
        return self._dead or len(self.outbound) < self._room

    @property
    def is_hung_up(self) -> bool:
        return self._dead

    # -- what the far end does -------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the far end has seen the end of the connection, or has made it."""
        return self._dead or self._deaf or (self.is_closed and not self.outbound)

    @property
    def is_gone(self) -> bool:
        """Whether the far end can do nothing any more."""
        return self.is_over or self._vanished

    def deliver(self, data: bytes) -> None:
        """Bytes arrive."""
        if not (self._fin or self._dead or self._vanished or self.is_closed):
            self.inbound += data

    def take(self, size: int) -> bytes:
        """The far end reads."""
        if self._vanished or self._deaf:
            return b""
        data = bytes(self.outbound[:size])
        del self.outbound[:size]
        self._taken += len(data)
        return data

    def fin(self) -> None:
        """The far end sends no more, but reads."""
        if not self._vanished:
            self._fin = True

    def leave(self) -> None:
        """The far end closes: what it is sent from now on resets the connection."""
        if not (self._vanished or self._dead):
            self._fin = self._deaf = True
            self.outbound.clear()

    def reset(self) -> None:
        """The far end resets; what has come before can be read."""
        if not (self._vanished or self.is_closed or self._dead):
            self._die(ConnectionResetError(errno.ECONNRESET, "reset"))

    def vanish(self) -> None:
        """The cable is cut."""
        self._vanished = True


class Transport(Connection):
    """Twisted's, on such a socket."""

    def __init__(self, socket: Socket, protocol: Any, reactor: Any) -> None:
        super().__init__(socket, protocol, reactor)
        self.connected = 1
        self.startReading()
        protocol.makeConnection(self)

    def getPeer(self) -> IPv4Address:
        return THERE

    def getHost(self) -> IPv4Address:
        return HERE


class Opaque(Transport):
    """One whose socket nobody may use."""

    def getHandle(self) -> Any:
        return None


@define(eq=False)
class Ready:
    """A descriptor that poll found."""

    descriptor: Any
    socket: Socket


class Reactor(MemoryReactorClock):
    """
    One that turns when told to, as Twisted's epoll reactor does.

    @ivar failures: exceptions that reached it: in service, they end what they do not belong to.
    @ivar writes_first: which of two that are ready is served first, which no kernel promises.
    """

    def __init__(self, writes_first: bool = False) -> None:
        super().__init__()
        self.failures: list[Failure] = []
        self.sockets: dict[int, Socket] = {}
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self._writes_first = writes_first

    def connect(self, protocol: Any, room: int, direct: bool) -> Socket:
        """
        A connection is there, and this protocol is the relay's on it.

        @param direct: whether the relay may use the socket.
        """
        socket = Socket(room)
        self.sockets[socket.fileno()] = socket
        transport = Transport if direct else Opaque
        transport(socket, protocol, self)
        return socket

    # -- IReactorFDSet, in order: a set's would differ from run to run --------------------

    def addReader(self, reader: Any) -> None:
        _register(reader)
        self._readers[reader] = None

    def addWriter(self, writer: Any) -> None:
        _register(writer)
        self._writers[writer] = None

    def removeReader(self, reader: Any) -> None:
        self._readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        self._writers.pop(writer, None)

    def getReaders(self) -> list[Any]:
        return list(self._readers)

    def getWriters(self) -> list[Any]:
        return list(self._writers)

    # -- turns -----------------------------------------------------------------------------

    def turn(self) -> bool:
        """Do what is due, then what poll finds; return whether there was anything."""
        due = [call for call in self.calls if call.getTime() <= self.rightNow]
        for call in due:
            if call in self.calls:
                self.calls.remove(call)
                call.called = 1
                self._guard(call.func, *call.args, **call.kw)
        kinds = [
            (self._readers, self._read, self._found(self._readers, "is_readable")),
            (self._writers, self._write, self._found(self._writers, "is_writable")),
        ]
        for watched, act, found in reversed(kinds) if self._writes_first else kinds:
            for ready in found:
                if ready.descriptor in watched:
                    self._guard(act, ready)
        return bool(due or any(found for _, _, found in kinds))

    def _found(self, watched: dict[Any, None], wanted: str) -> list[Ready]:
        pairs = ((each, self.sockets.get(each.fileno())) for each in watched)
        return [Ready(each, at) for each, at in pairs if at is not None and getattr(at, wanted)]

    def _guard(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception:
            self.failures.append(Failure())

    def _read(self, ready: Ready) -> None:
        self._ended(ready.descriptor, ready.descriptor.doRead(), True)

    def _write(self, ready: Ready) -> None:
        if ready.socket.is_hung_up and ready.descriptor not in self._readers:
            self._ended(ready.descriptor, CONNECTION_LOST, False)
        else:
            self._ended(ready.descriptor, ready.descriptor.doWrite(), False)

    def _ended(self, descriptor: Any, why: Any, is_read: bool) -> None:
        if why is None:
            return
        self.removeReader(descriptor)
        halved = IHalfCloseableDescriptor.providedBy(descriptor)
        if is_read and isinstance(why, ConnectionDone) and halved:
            descriptor.readConnectionLost(Failure(why))
            return
        self.removeWriter(descriptor)
        descriptor.connectionLost(Failure(why))

    def later(self, seconds: float) -> None:
        """Time passes, and nothing else."""
        self.rightNow += seconds


def _register(descriptor: Any) -> None:
    """As an epoll does."""
    if descriptor.fileno() == -1:
        raise ValueError("file descriptor cannot be a negative integer (-1)")
