"""
The relay in memory: one clock, no sockets.

A L{Line} is the network end of one of the relay's connections; a L{Peer} speaks WebSocket on it by
the C{websockets} package, which shares no code with Autobahn.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

from attrs import Factory, define, evolve, field
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadWriteDescriptor, ISystemHandle, ITransport
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol as Sans
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from zope.interface import alsoProvides, implementer

from relay import ClosedRecord, HoldRecord, Refusal, RelayFactory, Settings, Upstream

HERE = IPv4Address("TCP", "127.0.0.1", 8080)
THERE = IPv4Address("TCP", "127.0.0.1", 50000)
BUFFER = 65536


class Socket(socket.socket):
    """The socket of a L{Line}: the kernel takes 64 KiB."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def recv(self, size: int, flags: int = 0) -> bytes:
        waiting = self._line.waiting
        if not waiting:
            raise BlockingIOError
        data, waiting[0] = waiting[0][:size], waiting[0][size:]
        if not waiting[0]:
            del waiting[0]
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        room = BUFFER - len(self._line.sent)
        if room <= 0:
            raise BlockingIOError
        self._line.sent += bytes(data[:room])
        return min(room, len(data))


@implementer(ITransport)
class Line:
    """
    A transport with TCP's manners: it buffers, pushes back at 64 KiB, and closes when drained.

    @ivar sent: what the relay wrote and nobody has read yet.
    @ivar waiting: what has come and the relay has not read yet.
    """

    disconnecting = False
    _numbers = count(-2, -1)

    def __init__(self, reactor: Any, direct: bool) -> None:
        self.protocol: Any = None
        self.sent = b""
        self.lost: Failure | None = None
        self.waiting: list[bytes] = []
        self._reactor = reactor
        self._number = next(self._numbers)
        self._socket = Socket(self)
        self._is_paused = False
        self._producer: Any = None
        self._pushed_back = False
        if direct:
            alsoProvides(self, IReadWriteDescriptor, ISystemHandle)

    @property
    def paused(self) -> bool:
        """Whether the relay reads."""
        return self._reader() is None

    def _reader(self) -> Any:
        """Who reads: the line that took this one's place, if one did."""
        return self._among(self._reactor.getReaders()) or (None if self._is_paused else self)

    def _among(self, descriptors: Iterable[Any]) -> Any:
        numbers = (each for each in descriptors if each.fileno() == self._number)
        return next(numbers, None)

    # what the relay calls

    def write(self, data: bytes) -> None:
        if self.lost is None and not self.disconnecting:
            self.sent += data
            if self._producer and len(self.sent) > BUFFER and not self._pushed_back:
                self._pushed_back = True
                self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        assert self._producer is None
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def loseConnection(self) -> None:
        self.disconnecting = True
        if not self.sent:
            self._end(Failure(ConnectionDone()))

    def abortConnection(self) -> None:
        self._end(Failure(ConnectionAborted()))

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        self.pump()

    def fileno(self) -> int:
        return self._number if self.lost is None else -1

    def logPrefix(self) -> str:
        return "line"

    def connectionLost(self, reason: Failure) -> None:
        self._end(reason)

    def getHandle(self) -> Socket:
        return self._socket

    def doRead(self) -> Exception | None:
        self.protocol.dataReceived(self._socket.recv(1 << 30))
        return None

    def getPeer(self) -> IPv4Address:
        return THERE

    def getHost(self) -> IPv4Address:
        return HERE

    # what the network does

    def deliver(self, data: bytes) -> None:
        """Bytes arrive, to be read when reading is not paused."""
        if self.lost is None:
            self.waiting.append(data)
            self.pump()

    def pump(self) -> None:
        """Let the relay read what waits, if it will."""
        while self.waiting and self.lost is None and (reader := self._reader()):
            _ended(reader, reader.doRead())

    def take(self) -> bytes:
        """The other end reads all there is."""
        data, self.sent = self.sent, b""
        while writer := self._among(self._reactor.getWriters()):
            _ended(writer, writer.doWrite())
            data, self.sent = data + self.sent, b""
        if self._pushed_back and self._producer:
            self._pushed_back = False
            self._producer.resumeProducing()
        elif self.disconnecting and self._producer is None:
            self._end(Failure(ConnectionDone()))
        return data

    def fin(self) -> None:
        """The other end closes; a paused transport does not notice."""
        if not self.paused:
            self.lose()

    def lose(self) -> None:
        """The connection ends, whether that is looked for or not."""
        self._end(Failure(ConnectionDone()))

    def reset(self) -> None:
        """The other end resets."""
        if not self.paused:
            self._end(Failure(ConnectionLost()))

    def _end(self, reason: Failure) -> None:
        if self.lost is None:
            self.lost = reason
            self.protocol.connectionLost(reason)


def _ended(descriptor: Any, why: Exception | None) -> None:
    """As a reactor does for who cannot read or write any more."""
    if why is not None:
        descriptor.connectionLost(Failure(why))


class Reactor(MemoryReactorClock):
    """Reads at once what waits for who is watched again."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []

    def addReader(self, reader: Any) -> None:
        super().addReader(reader)
        for line in self.lines:
            line.pump()


@define
class Peer:
    """
    A WebSocket endpoint at the far end of a line.

    @ivar received: messages, in order.
    @ivar pongs: payloads of Pongs.
    @ivar close: code and reason of the Close that came.
    """

    line: Line
    sans: Any
    received: list[bytes | str] = Factory(list)
    pongs: list[bytes] = Factory(list)
    pings: list[bytes] = Factory(list)
    close: tuple[int | None, str] | None = None
    answers_close: bool = True
    _fragments: list[bytes] = Factory(list)
    _is_text: bool = False

    def send(self, data: bytes | str) -> None:
        """Send one message."""
        if isinstance(data, str):
            self.sans.send_text(data.encode())
        else:
            self.sans.send_binary(data)
        self.flush()

    def send_close(self, code: int | None = None, reason: str = "") -> None:
        """Send a Close of any kind."""
        payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        self.send_frame(Frame(Opcode.CLOSE, payload))

    def send_frame(self, frame: Frame) -> None:
        """Send any frame, valid or not."""
        mask = isinstance(self.sans, ClientProtocol)
        self.line.deliver(frame.serialize(mask=mask))

    def flush(self) -> None:
        """Put what the endpoint has to send on the line."""
        for data in self.sans.data_to_send():
            if data:
                self.line.deliver(data)

    def read(self) -> None:
        """Read all that is on the line."""
        data = self.line.take()
        if data:
            self.sans.receive_data(data)
        for event in self.sans.events_received():
            if isinstance(event, Frame):
                self._take(event)
        self.flush() if self.answers_close else self.sans.data_to_send()

    def _take(self, frame: Frame) -> None:
        data = bytes(frame.data)
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._take_data(frame, data)
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(data)
        elif frame.opcode is Opcode.PING:
            self.pings.append(data)
        elif frame.opcode is Opcode.CLOSE:
            code = int.from_bytes(data[:2], "big") if data else None
            self.close = (code, data[2:].decode())

    def _take_data(self, frame: Frame, data: bytes) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._fragments.append(data)
        if frame.fin:
            message, self._fragments = b"".join(self._fragments), []
            self.received.append(message.decode() if self._is_text else message)


@define
class Listener:
    """Keeps the records."""

    holds: list[HoldRecord] = Factory(list)
    refusals: list[Refusal | None] = Factory(list)
    events: list[Mapping[str, Any]] = Factory(list)
    ends: list[ClosedRecord] = Factory(list)

    def opened(self, record: HoldRecord) -> None:
        self.holds.append(record)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        self.holds.append(record)
        self.refusals.append(refusal)

    def event(self, record: HoldRecord, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def closed(self, record: ClosedRecord) -> None:
        self.ends.append(record)


def no_limits(sans: Sans) -> Any:
    """websockets caps messages at 1 MiB by default; what is tested is the relay's cap."""
    sans.max_message_size = sans.max_fragment_size = None
    return sans


def _select(_: ServerProtocol, offered: Sequence[str]) -> Any:
    return "realtime" if "realtime" in offered else None


@define
class World:
    """
    A relay with one upstream, on one clock.

    @cvar plane: what the settings say.
    @cvar direct: whether the relay may use the connections' sockets.
    """

    plane: ClassVar[Any] = "auto"
    direct: ClassVar[bool] = True
    settings: Settings = field(factory=Settings)
    upstream: Upstream = field(factory=lambda: Upstream("ws://127.0.0.1:9000/v1/realtime"))
    upstreams: list[Upstream] = Factory(list)
    options: dict[str, Any] = Factory(dict)
    reactor: Any = field(factory=Reactor)
    listener: Listener = Factory(Listener)
    factory: RelayFactory = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.factory = RelayFactory(
            self.upstreams or [self.upstream],
            reactor=self.reactor,
            settings=evolve(self.settings, plane=self.plane),
            **{"listeners": [self.listener], **self.options},
        )

    def accept(self) -> Line:
        """A downstream connects."""
        return self._wire(self.factory.buildProtocol(THERE))

    def connected(self) -> Line:
        """The upstream accepts the connection that the relay last asked for."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        return self._wire(factory.buildProtocol(HERE))

    def _wire(self, protocol: Any) -> Line:
        line = Line(self.reactor, self.direct)
        self.reactor.lines.append(line)
        line.protocol = protocol
        protocol.makeConnection(line)
        return line

    def downstream(
        self, path: str = "/v1/realtime?model=m", agent: str | None = None, **options: Any
    ) -> Peer:
        """A downstream that has sent its upgrade request."""
        sans = no_limits(ClientProtocol(parse_uri("ws://localhost:8080" + path), **options))
        peer = Peer(self.accept(), sans)
        request = sans.connect()
        if agent is not None:
            request.headers["User-Agent"] = agent
        sans.send_request(request)
        peer.flush()
        return peer

    def answering(self, line: Line | None = None) -> Peer:
        """An upstream that has answered 101."""
        peer = Peer(line or self.connected(), no_limits(ServerProtocol(select_subprotocol=_select)))
        peer.sans.receive_data(peer.line.take())
        (request,) = peer.sans.events_received()
        peer.sans.send_response(peer.sans.accept(request))
        peer.flush()
        return peer

    def open(
        self, first: str | None = '{"type":"session.created"}', **options: Any
    ) -> tuple[Peer, Peer]:
        """An open session, downstream and upstream; upstream's first event is received."""
        downstream = self.downstream(**options)
        upstream = self.answering()
        if first is not None:
            upstream.send(first)
        downstream.read()
        return downstream, upstream

    def advance(self, seconds: float) -> None:
        """Time passes, in steps so small that every deadline fires on time."""
        self.reactor.pump([1 / 64] * round(seconds * 64))

    def settle(self, *peers: Peer) -> None:
        """Let the peers read and answer until nothing moves."""
        for _ in range(4):
            for peer in peers:
                peer.read()

    def is_clean(self) -> bool:
        """Whether nothing is left: no hold, no session, no delayed call."""
        calls: Callable[[], list[object]] = self.reactor.getDelayedCalls
        return not (self.factory.active_holds or self.factory.active_sessions or calls())
