"""What only the splice plane has to do: frames that cross in parts, and its way out."""

from __future__ import annotations

import pytest
from memory import Peer, World
from websockets.frames import Frame, Opcode

from relay import Settings
from relay.closing import LOST
from relay.planes.splice import WHOLE

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
    assert downstream.received[1:] == []
    assert downstream.close == (1011, LOST["upstream"].reason)


def test_within_a_large_frame_there_is_no_place_for_one(
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


def test_so_it_is_for_upstream(world: World, pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    begun = Frame(Opcode.BINARY, b"x" * (WHOLE + 1)).serialize(mask=True)[:-1]
    downstream.line.deliver(begun)
    downstream.line.reset()
    assert upstream.line.take() == begun
    assert upstream.line.lost is not None
    assert world.is_clean()


def test_who_reads_nothing_of_an_unfinished_frame_is_cut(
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


def test_a_ping_waits_for_the_end_of_the_frame(world: World, pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    downstream.send("last words")
    world.advance(2 * world.settings.limits.ping_seconds)
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:] + BIG[:9])
    downstream.read()
    assert downstream.pings == [b"relay"]
    assert len(downstream.received) == 2
    upstream.line.deliver(BIG[9:])
    downstream.read()
    assert len(downstream.received) == 3


def test_a_pong_waits_too(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    downstream.send_frame(Frame(Opcode.PING, b"there?"))
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:-1])
    assert downstream.line.sent == BIG[:-1]
    upstream.line.deliver(BIG[-1:])
    downstream.read()
    assert downstream.pongs == [b"there?"]


def test_of_a_flood_of_pings_the_last_is_answered(pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    pings = (Frame(Opcode.PING, b"%d" % n).serialize(mask=False) for n in range(1000))
    upstream.line.deliver(b"".join(pings))
    upstream.read()
    assert upstream.pongs == [b"999"]
    assert downstream.line.sent == b""


def drain(world: World) -> None:
    """Begin a drain, and let its time pass until it closes sessions."""
    world.factory.drain()
    world.advance(world.settings.drain_seconds - world.settings.drain_spread)


def test_a_drain_waits_for_the_end_of_the_frame(world: World, pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    drain(world)
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:] + SMALL)
    world.settle(downstream)
    assert downstream.received[1:] == [b"x" * (WHOLE + 1)]
    assert downstream.close is not None
    assert downstream.close[0] == 1012
    assert downstream.line.lost is not None


def test_but_not_for_ever(world: World, pair: tuple[Peer, Peer]) -> None:
    downstream, upstream = pair
    upstream.line.deliver(BIG[:2000])
    drain(world)
    upstream.read()
    upstream.line.fin()
    downstream.line.take()
    world.advance(1)
    assert downstream.line.lost is not None
    assert world.is_clean()


def test_a_close_is_answered_behind_the_frame(world: World, pair: tuple[Peer, Peer]) -> None:
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


def test_what_crossed_is_counted_the_first_event_included(
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
