"""
A network in memory below Twisted's own TCP transport.

Sockets and the reactor's poll are imitated, and nothing above them: when a connection is lost, what
an abort does and what a paused transport does not see is decided by the code that runs in service.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from relay.rules.errors import RelayError
from relay.testing.sockets import ROOM, Socket

HERE = IPv4Address("TCP", "127.0.0.1", 8080)
THERE = IPv4Address("TCP", "127.0.0.1", 50000)

TURNS = 5000
"""Until something goes round in circles."""

STEP = 1 / 64
"""Seconds, so few that every deadline fires on time; and they add up exactly."""


class Endless(RelayError):
    """The relay and the far ends do not come to rest."""


class FarEnd(Protocol):
    """Something that reads as soon as there is something to read."""

    def moves(self) -> bool:
        """Read and answer what there is; return whether there was anything."""


class Transport(Connection):
    """
    Twisted's, on such a socket.

    @ivar end: the socket, also after it is closed.
    @ivar lost: why the connection ended; L{None} while it is there.
    """

    lost: Failure | None = None

    def __init__(self, socket: Socket, protocol: Any, reactor: Any) -> None:
        self.end = socket
        super().__init__(socket, protocol, reactor)
        self.connected = 1
        self.startReading()
        protocol.makeConnection(self)

    def connectionLost(self, reason: Failure) -> None:
        """Remember why."""
        self.lost = reason
        super().connectionLost(reason)

    def getPeer(self) -> IPv4Address:
        return THERE

    def getHost(self) -> IPv4Address:
        # Twisted's own raises this too.
        if self.lost is not None:
            raise AttributeError("a lost connection has no socket")
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
    One that turns when told to, as Twisted's epoll reactor does. Its time is its own.

    @ivar far_ends: those that read by themselves, in L{settle}.
    @ivar listeners: what is called, a turn later, with the factory and the connector of each
        connection to a host and port. To where nobody listens, connecting takes for ever.
    @ivar failures: exceptions that reached it: in service, they end what they do not belong to.
    @ivar writes_first: which of two that are ready is served first, which no kernel promises.
    """

    def __init__(self, writes_first: bool = False) -> None:
        super().__init__()
        self.failures: list[Failure] = []
        self.far_ends: list[FarEnd] = []
        self.listeners: dict[tuple[str, int], Callable[[Any, Any], None]] = {}
        self.sockets: dict[int, Socket] = {}
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self._writes_first = writes_first
        self._from_threads: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def connect(self, protocol: Any, room: int = ROOM, direct: bool = True) -> Transport:
        """
        A connection is there, and this protocol is the relay's on it.

        @param direct: whether the relay may use the socket.
        """
        socket = Socket(room)
        self.sockets[socket.fileno()] = socket
        return (Transport if direct else Opaque)(socket, protocol, self)

    def connectTCP(self, host: str, port: int, factory: Any, *args: Any, **options: Any) -> Any:
        """Tell who listens there."""
        connector = super().connectTCP(host, port, factory, *args, **options)
        if listener := self.listeners.get((host, port)):
            self.callLater(0, self._connected, listener, factory, connector)
        return connector

    def _connected(self, listener: Callable[[Any, Any], None], factory: Any, to: Any) -> None:
        if not to.stoppedConnecting:
            listener(factory, to)

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

    # -- IReactorFromThreads ---------------------------------------------------------------

    def callFromThread(self, callable: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Have it called in the next turn. Another thread's turn comes when it likes."""
        self._from_threads.put(partial(callable, *args, **kwargs))

    # -- turns -----------------------------------------------------------------------------

    def turn(self) -> bool:
        """Do what is due, then what poll finds; return whether there was anything."""
        asked = self._call_for_threads()
        due = [call for call in self.calls if call.getTime() <= self.rightNow]
        self._call(due)
        return self._poll() or bool(due) or asked

    def rest(self) -> None:
        """
        Let the network come to rest: all is read and written that can be, and connections that
        were aborted end. Nothing else that was put off is done, not even to the next turn.

        @raise Endless: if it does not.
        """
        for _ in range(TURNS):
            due = [call for call in self.calls if _is_end(call.func)]
            self._call(due)
            if not self._poll() and not due:
                return self._raise()
        raise Endless

    def settle(self) -> None:
        """
        Let everything come to rest that waits for no time to pass, far ends included.

        @raise Endless: if it does not.
        """
        for _ in range(TURNS):
            moved = self.turn()
            for far_end in self.far_ends:
                moved = far_end.moves() or moved
            if not moved:
                return self._raise()
        raise Endless

    def advance(self, amount: float) -> None:
        """Time passes, at once; then the network comes to rest."""
        super().advance(amount)
        self.rest()

    def wait(self, seconds: float) -> None:
        """Time passes, in steps so small that every deadline fires on time."""
        for _ in range(round(seconds / STEP)):
            self.rightNow += STEP
            self.settle()

    def _raise(self) -> None:
        """What a test has made go wrong here goes wrong there."""
        if self.failures:
            self.failures.pop(0).raiseException()

    def _call(self, due: list[Any]) -> None:
        for call in due:
            if call in self.calls:
                self.calls.remove(call)
                call.called = 1
                self._guard(call.func, *call.args, **call.kw)

    def _call_for_threads(self) -> bool:
        asked = False
        while not self._from_threads.empty():
            asked = True
            self._guard(self._from_threads.get())
        return asked

    def _poll(self) -> bool:
        """Read and write where that can be done; return whether there was anything."""
        kinds = [
            (self._readers, self._read, self._found(self._readers, "is_readable")),
            (self._writers, self._write, self._found(self._writers, "is_writable")),
        ]
        for watched, act, found in reversed(kinds) if self._writes_first else kinds:
            for ready in found:
                if ready.descriptor in watched:
                    self._guard(act, ready)
        return any(found for _, _, found in kinds)

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


def _is_end(call: Any) -> bool:
    """Whether a delayed call is the end of a connection that was aborted."""
    return isinstance(getattr(call, "__self__", None), Connection)


def _register(descriptor: Any) -> None:
    """As an epoll does."""
    if descriptor.fileno() == -1:
        raise ValueError("file descriptor cannot be a negative integer (-1)")
