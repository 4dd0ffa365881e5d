"""
What goes wrong inside one session ends that session alone: it is logged once, with the session's
request id, both of its ends are told or cut, its record is written, and nothing of it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from attrs import define
from memory import World
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from websockets.frames import Frame, Opcode
from zope.interface import implementer

from relay import HoldRecord
from relay.peer.protocol import PeerProtocol
from relay.rules.closes import Close
from relay.testing.listener import RecordingListener
from relay.testing.peers import Peer

Plane = Literal["splice", "message"]

DONE = '{"type":"response.done"}'


class Bug(Exception):
    """What is thrown."""


def throws(*args: object, **kwargs: object) -> Any:
    raise Bug


@pytest.fixture(params=["splice", "message"], autouse=True)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """Everything here holds in either plane: by sockets, and by transports as Twisted made them."""
    name: Plane = request.param
    monkeypatch.setattr(World, "plane", name)
    return name


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """Every exception that is logged."""
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


@define
class Pair:
    """An open session."""

    world: World
    downstream: Peer
    upstream: Peer
    others: tuple[Peer, Peer]

    @property
    def hold(self) -> HoldRecord:
        return self.world.listener.holds[0]

    def protocol(self, side: str) -> PeerProtocol:
        (session,) = self.sessions()
        protocol: PeerProtocol = session._peers[side]
        return protocol

    def sessions(self) -> list[Any]:
        """That of this pair, if it is still there."""
        sessions: Any = self.world.factory._register.sessions
        return [each for each in sessions if each.hold is self.hold]


@pytest.fixture
def pair(plane: Plane) -> Pair:
    world = World()
    return Pair(world, *world.open(), others=world.open())


def ends_alone(pair: Pair, logged: list[LogEvent]) -> None:
    """Check that it did, and nobody else."""
    world, bystanders = pair.world, pair.others
    for _ in range(20):
        world.advance(1)
        world.settle(pair.downstream, pair.upstream, *bystanders)
    assert [event["log_failure"].type for event in logged] == [Bug]
    assert logged[0]["id"] == pair.hold.request_id
    assert pair.downstream.line.lost is not None
    assert pair.upstream.line.lost is not None
    (record,) = world.listener.ends
    assert record.hold is pair.hold
    downstream, upstream = bystanders
    upstream.send("down")
    downstream.send("up")
    world.settle(*bystanders)
    assert (downstream.received[-1], upstream.received[-1]) == ("down", "up")
    upstream.send_close(1000)
    world.settle(*bystanders)
    upstream.line.fin()
    world.advance(10)
    assert world.is_clean()
    assert [standing.sessions for standing in world.factory.standings] == [0]


def breaks(name: str) -> Callable[[Pair, pytest.MonkeyPatch], None]:
    """Everything of that name, to be used by whoever comes next."""

    def apply(pair: Pair, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(name, throws)

    return apply


def breaks_at(side: str, name: str) -> Callable[[Pair, pytest.MonkeyPatch], None]:
    """What the peer of this side has by that name."""

    def apply(pair: Pair, patch: pytest.MonkeyPatch) -> None:
        owner: Any = pair.protocol(side)
        *path, last = name.split(".")
        for each in path:
            owner = getattr(owner, each)
        patch.setattr(owner, last, throws)

    return apply


def says(side: str, message: str | Frame) -> Callable[[Pair], None]:
    def act(pair: Pair) -> None:
        peer: Peer = getattr(pair, side)
        peer.send(message) if isinstance(message, str) else peer.send_frame(message)

    return act


def loses(side: str, how: str = "reset") -> Callable[[Pair], None]:
    def act(pair: Pair) -> None:
        getattr(getattr(pair, side).line, how)()

    return act


def loses_both(pair: Pair) -> None:
    for peer in (pair.upstream, pair.downstream):
        peer.line.lose()


def waits(pair: Pair) -> None:
    """Until this upstream, and no other, is pinged, and given up."""
    world = pair.world
    for _ in range(65):
        world.advance(1)
        for peer in (pair.downstream, *pair.others):
            peer.send_frame(Frame(Opcode.PONG, b""))


def floods(pair: Pair) -> None:
    """Downstream does not read, for longer than it may."""
    for _ in range(5):
        pair.upstream.send(b"x" * 65536)
    waits(pair)


def closes_unanswered(pair: Pair) -> None:
    """Downstream does not answer a Close, for longer than it may."""
    pair.downstream.answers_close = False
    pair.upstream.send_close(1000)
    pair.downstream.read()
    pair.world.advance(4)


Case = tuple[Callable[[Pair, pytest.MonkeyPatch], None], Callable[[Pair], None]]

CASES: dict[str, Case] = {
    "a message from downstream": (
        breaks_at("downstream", "_dataReceived"),
        says("downstream", "x"),
    ),
    "a tap": (breaks("relay.session.peek.Peek.__call__"), says("upstream", DONE)),
    "an event that is read": (breaks("relay.session.tally.tokens_of"), says("upstream", DONE)),
    "a ping": (breaks("relay.peer.protocol.pongs"), says("downstream", Frame(Opcode.PING, b""))),
    "a close": (
        breaks("relay.rules.closes.crossing"),
        says("upstream", Frame(Opcode.CLOSE, b"\x03\xe8")),
    ),
    "the answer to a close": (
        breaks("relay.peer.closing.reply"),
        says("downstream", Frame(Opcode.CLOSE, b"\x03\xe8")),
    ),
    "a fault": (
        breaks("relay.rules.closes.fault"),
        says("downstream", Frame(Opcode.CONT, b"x")),
    ),
    "the loss of downstream": (
        breaks("relay.session.session.Session._close_other"),
        loses("downstream"),
    ),
    "the loss of upstream": (
        breaks("relay.session.session.Session._close_other"),
        loses("upstream"),
    ),
    "a loss in the splice plane": (
        breaks("relay.session.splice.Lane.break_off"),
        loses("upstream"),
    ),
    "a loss in the message plane": (
        breaks("relay.session.message.MessagePlane.lost"),
        loses("upstream"),
    ),
    "a keepalive's ping": (breaks_at("upstream", "sendPing"), waits),
    "a keepalive's end": (breaks("relay.session.session.Session.silent"), waits),
    "a keepalive's look": (breaks("relay.peer.protocol.has_arrived"), waits),
    "a stall": (breaks("relay.session.session.Session.stalled"), floods),
    "a look at a stall": (breaks("relay.peer.stall.written"), floods),
    "a look at the end": (breaks("relay.peer.stall.written"), closes_unanswered),
    "a pause": (breaks_at("upstream", "line.pause"), floods),
    "a read": (breaks_at("downstream", "line._recv"), says("downstream", "x")),
    "a write": (breaks_at("downstream", "line._send"), says("upstream", "x")),
    "counting what was spliced": (breaks("relay.session.splice.SplicePlane.add_to"), loses_both),
    "counting messages": (breaks("relay.session.message.MessagePlane.add_to"), loses_both),
}
ONLY: dict[str, Plane] = {
    "a message from downstream": "message",
    "a loss in the splice plane": "splice",
    "a loss in the message plane": "message",
    "counting what was spliced": "splice",
    "counting messages": "message",
    "a read": "splice",
    "a write": "splice",
}
"""What only one of the planes does."""

PLANES: tuple[Plane, ...] = ("splice", "message")
PARAMETERS = [(p, case) for p in PLANES for case in CASES if ONLY.get(case, p) == p]


@pytest.mark.parametrize(("plane", "case"), PARAMETERS, indirect=["plane"])
def test_an_exception_ends_its_own_session_only(
    plane: Plane,
    pair: Pair,
    logged: list[LogEvent],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    apply, act = CASES[case]
    with monkeypatch.context() as patch:
        apply(pair, patch)
        act(pair)
    ends_alone(pair, logged)


def test_a_session_that_raises_at_its_beginning_ends_alone(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = pair.world
    with monkeypatch.context() as patch:
        patch.setattr("relay.session.message.MessagePlane.start", throws)
        patch.setattr("relay.session.splice.SplicePlane.start", throws)
        second = Pair(world, *world.open(), others=pair.others)
    world.settle(second.downstream, second.upstream)
    world.advance(4)
    assert second.downstream.close == (1011, "relay: internal error")
    assert second.upstream.close == (1011, "relay: internal error")
    second.upstream.line.fin()
    assert [event["id"] for event in logged] == [world.listener.holds[2].request_id]
    assert [end.hold for end in world.listener.ends] == [world.listener.holds[2]]
    assert world.factory.active_sessions == 2


def test_an_exception_while_a_session_ends_still_ends_it(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pair.protocol("downstream"), "close", throws)
        patch.setattr(pair.protocol("downstream"), "end_in_error", throws)
        patch.setattr(pair.protocol("upstream"), "relay", throws)
        patch.setattr("relay.session.frames.FrameWalk.feed", throws)
        pair.downstream.send("x")
    ends_alone(pair, logged)


def test_a_session_that_fails_at_everything_gives_its_room_back(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for side in ("downstream", "upstream"):
            for name in ("close", "end_in_error", "abort"):
                patch.setattr(pair.protocol(side), name, throws)
        (session,) = pair.sessions()
        session.close(Close(1012))
    assert [event["id"] for event in logged] == [pair.hold.request_id]
    assert [end.hold for end in pair.world.listener.ends] == [pair.hold]
    assert pair.sessions() == []


@pytest.mark.parametrize("name", ["close", "abort"])
def test_a_drain_ends_all_sessions_though_one_raises(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = pair.world
    (session,) = pair.sessions()
    patch = monkeypatch.setattr
    patch(session, name, throws)
    if name == "abort":
        world.factory.abort()
    else:
        world.factory.drain()
        world.advance(31)
    world.settle(*pair.others)
    pair.others[1].line.fin()
    assert logged[0]["log_failure"].type is Bug
    assert pair.others[0].line.lost is not None
    assert world.listener.holds[1] in [end.hold for end in world.listener.ends]


def test_a_listeners_exception_ends_nothing(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RecordingListener, "event", throws)
        pair.upstream.send(DONE)
    pair.downstream.read()
    assert pair.downstream.received[-1] == DONE
    assert [event["id"] for event in logged] == [pair.hold.request_id]


# -- before there is a session -------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "relay.dial.attempt.parse_event",
        "relay.http.answer.AnswerReader.feed",
        "relay.dial.protocol.UpstreamProtocol._shake_hands",
    ],
)
def test_an_exception_in_the_hold_is_told_as_the_relays_own(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = pair.world
    with monkeypatch.context() as patch:
        patch.setattr(name, throws)
        held = world.downstream()
        upstream = world.answering()
        if upstream.line.lost is None:
            upstream.send('{"type":"session.created"}')
    answer = held.line.take()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b'"code": "internal_error"' in answer
    assert upstream.line.lost is not None
    assert [event["id"] for event in logged] == [world.listener.holds[2].request_id]
    world.advance(10)
    assert world.factory.active_holds == 0
    assert world.factory.active_sessions == 2


def test_an_exception_in_a_deadline_of_the_head_drops_the_connection(
    plane: Plane, pair: Pair, logged: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = pair.world
    line = world.accept()
    line.deliver(b"GET ")
    with monkeypatch.context() as patch:
        patch.setattr("relay.downstream.acceptor.Front._refuse", throws)
        world.advance(11)
    assert line.lost is not None
    (event,) = logged
    assert event["id"].startswith("req_")
