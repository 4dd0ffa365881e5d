"""A connection of either kind, in memory or on loopback, plain or by TLS, with both of its ends."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from integration.loopback import REACTOR
from model.ends import Tls
from model.world import certificates
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from relay.testing import Line, Reactor
from relay.testing.reactor import THERE

TURNS = 20_000
"""Of a reactor, at most, in a wait."""


class Near(TwistedProtocol):
    """
    The relay's end, which keeps what it is told.

    @ivar losses: why the connection ended: once, in the end.
    @ivar is_late: whether anything was told behind that.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.losses: list[Failure] = []
        self.is_late = False

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.is_late |= bool(self.losses)
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.losses.append(reason)


class Wire(Protocol):
    """The far end, as bytes."""

    @property
    def is_over(self) -> bool: ...
    def send(self, data: bytes) -> None: ...
    def recv(self) -> bytes: ...
    def fin(self) -> None: ...
    def reset(self) -> None: ...


class MemoryWire:
    """In memory."""

    def __init__(self, line: Line) -> None:
        self._socket = line.socket
        self.send, self.fin, self.reset = line.socket.deliver, line.socket.fin, line.socket.reset

    @property
    def is_over(self) -> bool:
        """Whether the end of the connection was seen."""
        return self._socket.is_ended

    def recv(self) -> bytes:
        """Read what there is."""
        return self._socket.take(65536)


class SocketWire:
    """The kernel's."""

    def __init__(self, port: int) -> None:
        self.is_over = False
        self._unsent = b""
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setblocking(False)

    def send(self, data: bytes) -> None:
        """Write it: no test writes more than the kernels take."""
        with suppress(ConnectionError):
            assert self._socket.send(data) == len(data)

    def recv(self) -> bytes:
        """Read what there is, and learn whether there can be more."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return b""
        except ConnectionError:
            data = b""
        self.is_over |= not data
        return data

    def fin(self) -> None:
        """Send no more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Drop the connection."""
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):  # it is closed
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()


class Far:
    """
    The far end.

    @ivar received: what came.
    @ivar reads: whether it reads whatever comes.
    """

    def __init__(self, wire: Wire, tls: Tls | None) -> None:
        self.received = b""
        self.reads = True
        self._wire, self._tls = wire, tls
        self._is_gone = False
        if tls is not None:
            tls.feed(b"")
            self._flush()

    @property
    def is_over(self) -> bool:
        """Whether it has read up to the end of the connection."""
        return self._wire.is_over

    def send(self, data: bytes) -> None:
        """Write."""
        if self._tls is None:
            self._wire.send(data)
        else:
            self._tls.write(data)
            self._flush()

    def _flush(self) -> None:
        if self._tls is not None and (data := self._tls.sent()):
            self._wire.send(data)

    def fin(self) -> None:
        """Say that there is no more, first by TLS."""
        if self._tls is not None:
            self._tls.end()
            self._flush()
        self._wire.fin()

    def reset(self) -> None:
        """Drop the connection."""
        self._is_gone = True
        self._wire.reset()

    def pull(self) -> None:
        """Read, if it reads."""
        if self.reads and not self._is_gone and (data := self._wire.recv()):
            self.received += data if self._tls is None else self._tls.feed(data)
            self._flush()


class Connection:
    """One, and how its reactor is made to turn."""

    def __init__(self, near: Near, far: Far, is_secure: bool, turn: Callable[[], Any]) -> None:
        self.near, self.far = near, far
        self.is_secure = is_secure
        self._turn = turn

    @property
    def transport(self) -> Any:
        """The relay's."""
        return self.near.transport

    async def turn(self, count: int = 1) -> None:
        """Let the reactor turn, and the far end read."""
        for _ in range(count):
            turned = self._turn()
            if isinstance(turned, Deferred):
                await turned
            self.far.pull()

    async def until(self, holds: Callable[[], object]) -> None:
        """Let it turn until something holds."""
        for _ in range(TURNS):
            if holds():
                return
            await self.turn()
        raise AssertionError("waited in vain")

    async def lost(self) -> Failure:
        """Why it ended; nothing may be told behind that."""
        await self.until(lambda: self.near.losses)
        await self.turn(10)
        assert not self.near.is_late
        (reason,) = self.near.losses
        return reason

    async def open(self) -> None:
        """Wait until both ends can speak."""
        self.far.send(b"there?")
        await self.until(lambda: self.near.received == b"there?")
        self.transport.write(b"here")
        await self.until(lambda: self.far.received == b"here")
        self.near.received = self.far.received = b""


def _tls(is_secure: bool) -> Tls | None:
    return Tls(certificates().client, False) if is_secure else None


@contextmanager
def in_memory(is_secure: bool) -> Iterator[Connection]:
    """One in memory."""
    reactor, near = Reactor(), Near()
    factory: Any = Factory.forProtocol(lambda: near)
    if is_secure:
        factory = TLSMemoryBIOFactory(certificates().relay, False, factory, reactor)
    line = Line(reactor, factory.buildProtocol(THERE))
    yield Connection(near, Far(MemoryWire(line), _tls(is_secure)), is_secure, reactor.turn)
    assert not reactor.failures


@contextmanager
def on_loopback(is_secure: bool) -> Iterator[Connection]:
    """One of the kernel's."""
    near = Near()
    factory = Factory.forProtocol(lambda: near)
    options: dict[str, Any] = {"interface": "127.0.0.1"}
    if is_secure:
        port = REACTOR.listenSSL(0, factory, certificates().relay, **options)
    else:
        port = REACTOR.listenTCP(0, factory, **options)
    wire = SocketWire(port.getHost().port)
    try:
        far = Far(wire, _tls(is_secure))
        yield Connection(near, far, is_secure, lambda: deferLater(REACTOR, 0))
    finally:
        port.stopListening()
        wire.reset()
