"""A replay on the wire, in memory: what it tells, and a client that does not read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from recording.recorded import recording, said
from simulator.wire import Transport, Wire
from twisted.internet.address import IPv4Address

from relay.recording.lines import Closed, Message
from relay.recording.reading import Recording
from relay.recording.upstream import AWAITED_SECONDS, ReplayFactory, payload_of
from relay.simulator.connection import STALL_SECONDS

LONG = Message(0.0, "upstream", "long", 9, b'{"long":1}')


@dataclass
class ReplayWire(Wire):
    """A client of a replay."""

    session: Recording = field(default_factory=recording)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lose()  # the simulator, in whose place this is
        self.lost = False
        replay = ReplayFactory(self.session, self.lines.append, self.clock)
        address = IPv4Address("TCP", "127.0.0.1", 1)
        self.protocol = replay.buildProtocol(address)  # type: ignore[assignment]
        self.transport = Transport(self.protocol, True, address, address)
        self.protocol.makeConnection(self.transport)


def opened(*messages: Message, end: Closed | None = None) -> ReplayWire:
    wire = ReplayWire(session=recording(*messages, end=end))
    response = wire.shake()
    assert response is not None
    assert response.status_code == 101
    return wire


def test_any_path_and_subprotocol_will_do() -> None:
    wire = ReplayWire(path="/any/where", query="", subprotocols=("x", "realtime"))
    response = wire.shake()
    assert response is not None
    assert response.status_code == 101
    assert response.headers["Sec-WebSocket-Protocol"] == "realtime"


def test_what_is_no_websocket_gets_a_whole_answer() -> None:
    wire = ReplayWire()
    wire.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = wire.transport.getOutBuffer()
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"Content-Length: " in answer


def full(wire: ReplayWire) -> None:
    """The client stops to read, and the transport notices at the next message."""
    wire.transport.full = True
    wire.say("go")


def test_to_a_client_that_does_not_read_nothing_more_is_sent() -> None:
    wire = opened(said(0, "client", "go"), LONG, LONG, LONG)
    full(wire)
    assert len(wire.events) == 1
    assert not wire.transport.reading
    wire.say("more")
    assert not wire.transport.reading
    wire.transport.full = False
    wire.protocol.resumeProducing()
    wire.pump()
    assert len(wire.events) == 3
    assert wire.transport.reading


def test_a_client_that_does_not_read_at_all_is_given_up() -> None:
    wire = opened(said(0, "client", "go"), LONG)
    full(wire)
    wire.clock.advance(STALL_SECONDS)
    wire.advance(0)
    assert wire.transport.aborted
    assert wire.clock.getDelayedCalls() == []


def waited(act: Callable[[ReplayWire], None]) -> list[str]:
    """What is told of a client that does this a second before it would be told what is awaited."""
    wire = opened(said(0, "client", "q"), said(0, "upstream", "a"), said(60, "upstream", "b"))
    wire.advance(AWAITED_SECONDS - 1)
    act(wire)
    wire.advance(AWAITED_SECONDS)
    wire.advance(1)
    return wire.lines


def test_what_came_is_no_longer_awaited() -> None:
    assert waited(lambda wire: wire.say("q")) == []
    told = ["waits for the client's q, at 0.000 s, line 2"]
    assert waited(lambda wire: wire.say("other")) == told


def test_nothing_is_left_of_a_client_that_is_gone() -> None:
    wire = opened(said(0, "upstream", "a"), said(60, "upstream", "b"))
    wire.lose()
    assert wire.lines == ["the client left before line 3"]
    assert wire.clock.getDelayedCalls() == []


def test_a_close_without_a_code_is_one_again() -> None:
    wire = opened(said(0, "upstream", "a"), end=Closed(0, "upstream", None))
    assert wire.frames[-1].data == b""
    assert wire.lines == ["played to its end; closes without a code, as the upstream did"]


def test_a_payload_that_was_not_recorded_has_its_size_where_that_is_enough() -> None:
    for size in range(40, 60):
        assert len(payload_of(Message(0.0, "upstream", "session.created", size))) == size
    assert len(payload_of(Message(0.0, "upstream", "session.created", 3))) > 3
