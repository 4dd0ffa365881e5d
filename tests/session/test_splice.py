"""What only the splice plane has to do: frames that cross in parts, and its way out."""

from __future__ import annotations

import itertools

import pytest
from memory import World, last_words
from websockets.frames import Frame, Opcode

from relay import Grant, Policy, Settings
from relay.peer.control import MOST_WAITING
from relay.peer.delivery import Written
from relay.peer.throttle import BURST, RATE
from relay.rules.closes import LOST, SILENT, Side
from relay.rules.losses import Loss
from relay.session.splice import WHOLE
from relay.testing.peers import Peer
from relay.wire.sockets import SocketLine
from relay.wire.transport import TransportLine

BIG = Frame(Opcode.BINARY, b"x" * (WHOLE + 1)).serialize(mask=False)
SMALL = Frame(Opcode.BINARY, b"x" * 1000).serialize(mask=False)


@pytest.fixture
def world() -> World:
    return World(settings=Settings(plane="splice"))


@pytest.fixture
def pair(world: World) -> tuple[Peer, Peer]:
    return world.open()


def plane_of(world: World) -> str:
    (record,) = world.listener.ends
    return record.plane


# -- which plane ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "direct", "plane"),
    [
        ("auto", True, "splice"),
        ("splice", True, "splice"),
        ("message", True, "message"),
        ("auto", False, "message"),
        ("splice", False, "message"),
    ],
)
def test_the_plane_is_in_the_record(
    wanted: str, direct: bool, plane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "plane", wanted)
    monkeypatch.setattr(World, "direct", direct)
    world = World()
    downstream, upstream = world.open()
    downstream.send("over")
    upstream.read()
    assert upstream.received == ["over"]
    upstream.line.fin()
    world.settle(downstream)
    assert plane_of(world) == plane


def test_the_message_plane_is_plain_twisted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "plane", "message")
    world = World()
    world.open()
    (session,) = world.factory._register.sessions
    assert {type(peer.line) for peer in session._peers.values()} == {TransportLine}  # type: ignore[attr-defined]
    assert not any(isinstance(reader, SocketLine) for reader in world.reactor.getReaders())


def test_a_session_whose_grant_has_a_policy_is_not_spliced() -> None:
    granted = Grant("someone", policy=Policy(lock=("tools",)))
    world = World(options={"admit": lambda request: granted})
    downstream, upstream = world.open()
    upstream.line.fin()
    world.settle(downstream)
    assert plane_of(world) == "message"


def test_a_frame_crosses_as_the_bytes_it_came_in(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    frame = Frame(Opcode.TEXT, b"as it is").serialize(mask=True)
    downstream.line.deliver(frame)
    assert upstream.line.sent == frame


# -- frames that come in parts -------------------------------------------------------------


def test_a_small_frame_crosses_when_it_is_whole(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    for part in (SMALL[:1], SMALL[1:500], SMALL[500:-1]):
        upstream.line.deliver(part)
        assert downstream.line.sent == b""
    upstream.line.deliver(SMALL[-1:] + SMALL[:7])
    assert downstream.line.sent == SMALL
    upstream.line.deliver(SMALL[7:] + SMALL)
    assert downstream.line.sent == SMALL * 3


def test_a_large_frame_crosses_as_it_comes(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(SMALL + BIG[:2000])
    assert downstream.line.sent == SMALL + BIG[:2000]
    upstream.line.deliver(BIG[2000:] + SMALL[:10])
    assert downstream.line.sent == SMALL + BIG
    upstream.line.deliver(SMALL[10:])
    assert downstream.line.sent == SMALL + BIG + SMALL


@pytest.mark.parametrize("by", ["fin", "reset"])
def test_a_loss_within_a_small_frame_is_told_by_a_close(pair: tuple[Peer, Peer], by: str) -> None:
    downstream, upstream = pair
    upstream.line.deliver(SMALL[:-1])
    getattr(upstream.line, by)()
    downstream.read()
    assert last_words(downstream)["code"] == "upstream_lost"
    assert downstream.received[1:] == []
    assert downstream.close == (1011, LOST["upstream"].reason)


@pytest.mark.parametrize("from_upstream", [True, False])
@pytest.mark.parametrize(("act", "by"), [("fin", "end"), ("reset", "break")])
def test_the_record_says_how_a_connection_ended_without_a_close(
    world: World, pair: tuple[Peer, Peer], act: str, by: str, from_upstream: bool
) -> None:
    getattr(pair[from_upstream].line, act)()
    world.advance(30)
    (record,) = world.listener.ends
    assert record.loss == Loss(by)  # type: ignore[arg-type]


def test_the_record_of_a_session_that_was_closed_names_no_loss(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    downstream.line.deliver(Frame(Opcode.CLOSE, b"\x03\xe9").serialize(mask=True))
    upstream.line.reset()
    downstream.line.fin()
    world.advance(30)
    (record,) = world.listener.ends
    assert (record.close_code, record.closed_by, record.loss) == (1001, "downstream", None)


def test_a_loss_within_a_large_frame_cuts_downstream_without_a_close(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:-1])
    upstream.line.reset()
    assert downstream.line.sent == BIG[:-1], "nothing that would read as its end"
    downstream.read()
    assert downstream.line.lost is not None
    assert world.is_clean()
    (record,) = world.listener.ends
    assert (record.close_code, record.closed_by) == (1011, "upstream")


def test_a_loss_within_a_large_frame_cuts_upstream_without_a_close(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    begun = Frame(Opcode.BINARY, b"x" * (WHOLE + 1)).serialize(mask=True)[:-1]
    downstream.line.deliver(begun)
    downstream.line.reset()
    assert upstream.line.take() == begun
    assert upstream.line.lost is not None
    assert world.is_clean()


def test_a_peer_that_reads_nothing_of_an_unfinished_frame_is_cut(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG * 3 + BIG[:-1])
    upstream.line.lose()
    assert downstream.line.lost is None
    world.advance(world.settings.limits.linger_seconds)
    assert downstream.line.lost is not None
    assert world.is_clean()


# -- the relay's own frames ----------------------------------------------------------------


def taking_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel says of every connection: bytes wait, and none is acknowledged."""
    monkeypatch.setattr("relay.peer.stall.written", lambda line: Written(1, 0))


def trickle(world: World, sender: Peer, frame: bytes, seconds: float) -> None:
    """The frame comes for so long, and is not whole at the end."""
    for second in range(int(seconds)):
        sender.line.deliver(frame[200 * second : 200 * (second + 1)])
        world.advance(1)


def test_a_ping_waits_for_the_end_of_the_frame(
    world: World, pair: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = pair
    taking_nothing(monkeypatch)
    trickle(world, upstream, BIG, 65)
    assert downstream.line.sent == BIG[:13_000]
    downstream.send("last words")
    upstream.line.deliver(BIG[13_000:] + BIG[:9])
    downstream.read()
    assert set(downstream.pings) == {b"relay"}
    assert len(downstream.received) == 2
    upstream.line.deliver(BIG[9:])
    downstream.read()
    assert len(downstream.received) == 3


@pytest.mark.parametrize("from_upstream", [True, False])
def test_a_peer_that_takes_the_bytes_of_a_long_frame_lives(
    world: World,
    pair: tuple[Peer, Peer],
    monkeypatch: pytest.MonkeyPatch,
    from_upstream: bool,
) -> None:
    downstream, upstream = pair
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    taken = itertools.count()
    monkeypatch.setattr("relay.peer.stall.written", lambda line: Written(1, next(taken)))
    large = Frame(Opcode.BINARY, b"x" * 70_000).serialize(mask=not from_upstream)
    trickle(world, sender, large, 300)
    assert receiver.line.lost is None
    assert sender.line.lost is None
    sender.line.deliver(large[60_000:])
    receiver.read()
    assert receiver.received[-1] == b"x" * 70_000


@pytest.mark.parametrize("from_upstream", [True, False])
def test_a_peer_that_stops_within_its_frame_is_given_up_not_its_receiver(
    world: World, pair: tuple[Peer, Peer], from_upstream: bool
) -> None:
    downstream, upstream = pair
    sender = upstream if from_upstream else downstream
    frame = Frame(Opcode.BINARY, b"x" * 70_000).serialize(mask=not from_upstream)
    sender.line.deliver(frame[:1000])
    world.advance(66)
    (record,) = world.listener.ends
    side: Side = "upstream" if from_upstream else "downstream"
    assert (record.close_code, record.closed_by) == (SILENT[side].code, side)
    assert record.loss == Loss("silence")


def test_two_peers_that_stop_within_their_frames_do_not_wait_for_each_other(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    downstream.line.deliver(Frame(Opcode.BINARY, b"x" * 70_000).serialize(mask=True)[:2000])
    world.advance(90)
    assert world.is_clean()


def test_a_peer_that_takes_nothing_of_a_long_frame_is_given_up(
    world: World, pair: tuple[Peer, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = pair
    taking_nothing(monkeypatch)
    trickle(world, upstream, Frame(Opcode.BINARY, b"x" * 70_000).serialize(mask=False), 59)
    assert downstream.line.lost is None
    world.advance(22)
    assert downstream.line.lost is not None
    upstream.read()
    assert upstream.close == (1001, SILENT["downstream"].reason)


def test_a_pong_waits_for_the_end_of_the_frame(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    downstream.send_frame(Frame(Opcode.PING, b"there?"))
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:-1])
    assert downstream.line.sent == BIG[:-1]
    upstream.line.deliver(BIG[-1:])
    downstream.read()
    assert downstream.pongs == [b"there?"]


def pings(count: int, mask: bool) -> bytes:
    """So many, and what each says is its number."""
    return b"".join(Frame(Opcode.PING, b"%d" % n).serialize(mask=mask) for n in range(count))


def test_pongs_wait_in_order_for_the_end_of_a_frame_and_of_very_many_the_last(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    for number in range(1000):
        downstream.send_frame(Frame(Opcode.PING, b"%d" % number))
        world.advance(1 / 64)
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:])
    downstream.read()
    assert downstream.pongs == [b"%d" % number for number in range(1000 - MOST_WAITING, 1000)]


def test_a_close_waits_behind_the_pongs_that_wait(world: World, pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    for number in range(MOST_WAITING):
        downstream.send_frame(Frame(Opcode.PING, b"%d" % number))
        world.advance(1 / 64)
    downstream.send_close(1000)
    upstream.line.deliver(BIG[2000:])
    downstream.read()
    assert downstream.pongs == [b"%d" % number for number in range(1, MOST_WAITING)]
    assert downstream.close == (1000, "")


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_flood_of_pings_is_read_slowly_and_the_other_way_is_not(
    monkeypatch: pytest.MonkeyPatch, plane: str
) -> None:
    monkeypatch.setattr(World, "plane", plane)
    world = World()
    downstream, upstream = world.open()
    downstream.line.deliver(pings(BURST, mask=True))
    world.advance(1)
    assert not downstream.line.paused
    downstream.line.deliver(pings(2 * RATE + BURST, mask=True))
    world.reactor.pump([0] * 20)
    assert downstream.line.paused
    upstream.send("for the one that floods")
    downstream.read()
    assert downstream.received[-1] == "for the one that floods"
    world.advance(1.9)
    assert downstream.line.paused
    world.advance(0.2)
    assert not downstream.line.paused
    downstream.send("well again")
    upstream.read()
    assert upstream.received == ["well again"]


def drain(world: World) -> None:
    """Begin a drain, and let its time pass until it closes sessions."""
    world.factory.drain()
    world.advance(world.settings.drain_seconds - world.settings.drain_spread)


def test_the_close_of_a_drain_waits_for_the_end_of_the_frame(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    drain(world)
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:] + SMALL)
    world.settle(downstream)
    assert last_words(downstream)["code"] == "draining"
    assert downstream.received[1:] == [b"x" * (WHOLE + 1)]
    assert downstream.close is not None
    assert downstream.close[0] == 1012
    assert downstream.line.lost is not None


def test_the_close_of_a_drain_waits_for_a_frame_no_longer_than_the_linger(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    drain(world)
    upstream.read()
    upstream.line.fin()
    downstream.line.take()
    world.advance(1)
    assert downstream.line.lost is not None
    assert world.is_clean()


def test_a_close_is_answered_after_the_end_of_the_frame(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    downstream.answers_close = False
    downstream.send_close(1000)
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:])
    upstream.read()
    downstream.read()
    assert len(downstream.received) == 2
    assert downstream.close == (1000, "")
    assert upstream.close == (1000, "")
    assert downstream.line.lost is not None


def test_a_close_crosses_between_fragments(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    frames = [Frame(Opcode.TEXT, b"begun", fin=False), Frame(Opcode.CLOSE, b"\x0f\xa0bye")]
    for frame in frames:
        upstream.send_frame(frame)
    assert downstream.line.sent == b"".join(frame.serialize(mask=False) for frame in frames)


# -- what is counted and told --------------------------------------------------------------


def test_the_record_counts_what_crossed_and_the_first_event(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    downstream, upstream = pair
    downstream.send("12345")
    downstream.send_frame(Frame(Opcode.TEXT, b"12", fin=False))
    downstream.send_frame(Frame(Opcode.CONT, b"3"))
    upstream.send(b"12")
    upstream.line.fin()
    world.settle(downstream)
    (record,) = world.listener.ends
    assert (record.sent["downstream"].messages, record.sent["downstream"].bytes) == (2, 8)
    first = len('{"type":"session.created"}')
    assert (record.sent["upstream"].messages, record.sent["upstream"].bytes) == (2, first + 2)


def test_what_goes_on_to_a_receiver_that_was_dropped_is_not_kept(
    world: World, pair: tuple[Peer, Peer]
) -> None:
    _, upstream = pair
    (session,) = world.factory._register.sessions
    receiver = session._peers["downstream"]  # type: ignore[attr-defined]
    line = receiver.line
    upstream.line.deliver(BIG * 5 + BIG[:2000])
    assert line.queued > 0, "it reads nothing"
    receiver.abort()
    for _ in range(10):
        line.write(b"x" * 1000)
    assert line._queue == []
