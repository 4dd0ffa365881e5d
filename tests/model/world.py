"""One relay, several sessions at once, one clock: what can be done to them, and what must hold."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import trustme
from attrs import Factory, define, field
from model.ends import End, Tls
from twisted.internet.ssl import CertificateOptions
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from zope.interface import implementer

from relay import Crossings, Limits, RelayFactory, Settings, Upstream
from relay.config.certificates import server_options
from relay.rules.closes import Side
from relay.testing.listener import RecordingListener
from relay.testing.peers import no_limits
from relay.testing.reactor import HERE, THERE, TURNS, Endless, Reactor
from relay.testing.sockets import Socket

CREATED = b'{"type":"session.created"}'

MESSAGE_BYTES = 1 << 17

SOON, LATE = 2.0, 6.0
"""Seconds: which of two deadlines is first decides who finds out what has happened."""

LONGEST = 30.0
"""Seconds beyond every deadline there is."""

Plane = Literal["splice", "message", "transport"]
"""How messages cross; C{transport}: by the message plane, and none by a socket."""


@define
class Certificates:
    """What TLS needs on both legs."""

    relay: CertificateOptions
    ca_file: str
    client: ssl.SSLContext
    server: ssl.SSLContext


@cache
def certificates() -> Certificates:
    """Made once."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(server)
    with TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        options = server_options(str(chain), str(key))
    return Certificates(options, _ca_file(authority), client, server)


def _ca_file(authority: trustme.CA) -> str:
    folder = TemporaryDirectory()
    _FOLDERS.append(folder)
    path = Path(folder.name, "ca.pem")
    authority.cert_pem.write_to_path(str(path))
    return str(path)


_FOLDERS: list[TemporaryDirectory[str]] = []


@define(eq=False)
class Pair:
    """
    The two far ends of a session.

    @ivar is_faulty: whether an end did what may end the session or lose a part of it.
    """

    ends: dict[Side, End]
    is_faulty: bool = False

    @property
    def is_over(self) -> bool:
        return all(end.socket.is_gone for end in self.ends.values())

    @property
    def directions(self) -> Iterable[tuple[End, End]]:
        """Sender and receiver, each way."""
        downstream, upstream = self.ends["downstream"], self.ends["upstream"]
        return (downstream, upstream), (upstream, downstream)


@implementer(ILogObserver)
@define(eq=False)
class World:
    """
    A relay.

    @ivar secure: the legs that go by TLS.
    @ivar room: bytes that the kernels of one connection take.
    @ivar pings_soon: whether who is silent is found before who does not read.
    """

    plane: Plane
    secure: frozenset[Side]
    room: int
    writes_first: bool
    pings_soon: bool = False
    pairs: list[Pair] = Factory(list)
    reactor: Reactor = field(init=False)
    listener: RecordingListener = Factory(RecordingListener)
    factory: RelayFactory = field(init=False)
    _accepting: Any = field(init=False)
    _logged: list[str] = Factory(list)
    pings: int = 0  # of those that flood
    _watched: dict[Callable[[], None], list[Crossings]] = Factory(dict)

    def __attrs_post_init__(self) -> None:
        self.reactor = Reactor(self.writes_first)
        scheme, ca_file = "ws", None
        if "upstream" in self.secure:
            scheme, ca_file = "wss", certificates().ca_file
        self.factory = RelayFactory(
            [Upstream(f"{scheme}://127.0.0.1:9000/v1/realtime", ca_file=ca_file)],
            reactor=self.reactor,
            settings=Settings(
                plane="splice" if self.plane == "splice" else "message",
                limits=self._limits(),
                drain_seconds=2.0,
            ),
            listeners=[self.listener],
        )
        self._accepting = self.factory
        if "downstream" in self.secure:
            options = certificates().relay
            self._accepting = TLSMemoryBIOFactory(options, False, self.factory, self.reactor)
        globalLogPublisher.addObserver(self)

    def _limits(self) -> Limits:
        return Limits(
            short_sessions=0,  # one after the other is ended badly
            message_bytes=MESSAGE_BYTES,
            stall_seconds=LATE if self.pings_soon else SOON,
            linger_seconds=1.0,
            ping_seconds=SOON if self.pings_soon else LATE,
            pong_seconds=1.0,
        )

    def __call__(self, event: LogEvent) -> None:
        """Watch the log."""
        failure = event.get("log_failure")
        if failure is not None or event.get("isError") or event["log_level"] >= LogLevel.error:
            trace = failure.getTraceback() if failure is not None else ""
            self._logged.append(f"{formatEvent(event)}\n{trace}")

    def forget(self) -> None:
        """It is over."""
        globalLogPublisher.removeObserver(self)

    # -- sessions --------------------------------------------------------------------------

    def open(self) -> Pair:
        """A session more, with upstream's first event received."""
        downstream = self._downstream()
        self.settle(downstream)
        _, _, factory, _, _ = self.reactor.tcpClients.pop()
        upstream = self._upstream(factory.buildProtocol(HERE))
        self.settle(downstream, upstream)
        upstream.say(True, CREATED, True, MESSAGE_BYTES)
        upstream.let_go()
        self.settle(downstream, upstream)
        assert downstream.got == [(True, CREATED)], "it did not open"
        pair = Pair({"downstream": downstream, "upstream": upstream})
        self.pairs.append(pair)
        return pair

    def _downstream(self) -> End:
        protocol = self._accepting.buildProtocol(THERE)
        sans = no_limits(ClientProtocol(parse_uri("ws://localhost:8080/v1/realtime?model=m")))
        tls = Tls(certificates().client, False) if "downstream" in self.secure else None
        end = End(self._connect(protocol), sans, tls)
        sans.send_request(sans.connect())
        if tls is not None:
            tls.feed(b"")
        for data in sans.data_to_send():
            end.put(data)
        end.let_go()
        return end

    def _upstream(self, protocol: Any) -> End:
        sans = no_limits(ServerProtocol())
        tls = Tls(certificates().server, True) if "upstream" in self.secure else None
        return End(self._connect(protocol), sans, tls)

    def _connect(self, protocol: Any) -> Socket:
        return self.reactor.connect(protocol, self.room, self.plane != "transport").end

    def settle(self, *more: End) -> None:
        """Turn until nothing moves."""
        for _ in range(TURNS):
            if not self.turn(*more):
                return
        raise Endless

    def turn(self, *more: End) -> bool:
        """One turn, in which all far ends read that do so."""
        moved = False
        ends = [end for pair in self.pairs for end in pair.ends.values()]
        for end in [*ends, *more]:
            if not end.socket.is_gone:
                moved = end.moves() or moved
        return self.reactor.turn() or moved

    def watch(self) -> None:
        """Somebody begins to watch each session that is open; or, if somebody does, ends that."""
        watched, self._watched = self._watched, {}
        for stop in watched:
            stop()
        for handle in self.factory.handles.find() if not watched else ():
            batches: list[Crossings] = []
            self._watched[handle.watch(batches.append, payloads=True)] = batches

    def later(self, seconds: float) -> None:
        """Time passes, in steps so small that deadlines fire in their order."""
        for _ in range(round(seconds * 4)):
            self.reactor.later(0.25)
            self.settle()

    def end(self) -> None:
        """Time passes until no session is left, or should be left."""
        for _ in range(round(LONGEST * 4)):
            if not self.factory.active_sessions:
                return
            self.later(0.25)

    # -- what must hold --------------------------------------------------------------------

    def check_errors(self) -> None:
        """No exception has gone where it would reach others, or the log."""
        traces = [failure.getTraceback() for failure in self.reactor.failures]
        assert not traces, f"an exception reached the reactor:\n{traces[0]}"
        assert not self._logged, f"an error was logged:\n{self._logged[0]}"

    def check_messages(self) -> None:
        """What has crossed is what was sent, in order, as far as it came."""
        for pair in self.pairs:
            for sender, receiver in pair.directions:
                assert receiver.fault is None, f"the relay's frames are wrong: {receiver.fault}"
                assert not receiver.is_told_more, "the relay says more behind its Close"
                sent, got = sender.sent, receiver.got
                assert got == sent[: len(got)], "what came is not what was sent"

    def check_bystanders(self) -> None:
        """Sessions to which nothing was done have all their messages, and go on."""
        pairs = [pair for pair in self.pairs if not pair.is_faulty]
        for pair in pairs:
            for end in pair.ends.values():
                end.let_go()
                end.say(True, b"still there?", True, MESSAGE_BYTES)
                end.let_go()
        self.settle()
        self.later(0.5 + self.pings / 1000)  # one that floods is read at that pace
        for pair in pairs:
            for sender, receiver in pair.directions:
                assert not sender.socket.is_over, "a bystander's connection has ended"
                assert not sender.is_close_got, "a bystander was sent a Close"
                assert receiver.got == sender.sent, "a bystander lost something"

    def check_watched(self) -> None:
        """Who watched to the end was told of that once, and knows how much was missed."""
        for batches in self._watched.values():
            assert [each.closed is not None for each in batches].count(True) == 1
            assert batches[-1].closed is not None, "something was told behind the end"
            count = 0
            for batch in batches:
                numbers = [each.number for each in batch.crossed]
                assert numbers == [*range(count + 1, count + 1 + len(numbers))]
                count += len(numbers) + batch.missed

    def check_nothing_left(self) -> None:
        """All is over, and each session was told of once."""
        self.check_errors()
        assert self.factory.active_sessions == 0, "a session was left in the register"
        assert self.factory.active_holds == 0, "a hold was left in the register"
        assert [standing.sessions for standing in self.factory.standings] == [0]
        opened = Counter(record.request_id for record in self.listener.holds)
        closed = Counter(record.hold.request_id for record in self.listener.ends)
        assert len(opened) == len(self.pairs)
        assert opened == closed, "opened is not closed"
        assert set(opened.values()) == {1}, "a session was told of twice"
        assert self.reactor.getDelayedCalls() == [], "a call was left on the clock"
        assert self.reactor.getReaders() == [], "a reader was left"
        assert self.reactor.getWriters() == [], "a writer was left"
        left = [socket for socket in self.reactor.sockets.values() if not socket.is_closed]
        assert not left, "a socket was left open"
