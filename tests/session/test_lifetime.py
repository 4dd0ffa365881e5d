"""How long a session may last, be idle, and be flooded by its client."""

from __future__ import annotations

from typing import Any

import pytest
from memory import World
from websockets.frames import Frame, Opcode

from relay import Grant, GrantLimits, Limits, Settings
from relay.testing.peers import Peer
from relay.wire import sockets

pytestmark = pytest.mark.usefixtures("plane")


def world_of(grant: Any = None, **limits: Any) -> World:
    options = {} if grant is None else {"admit": lambda _: Grant(None, GrantLimits(**grant))}
    return World(settings=Settings(limits=Limits(**limits)), options=options)


def go_on(world: World, downstream: Peer, upstream: Peer, seconds: int, says: bool) -> None:
    for _ in range(seconds):
        if says:
            upstream.send("x")
        world.advance(1)
        world.settle(downstream, upstream)


FRAME = Frame(Opcode.TEXT, b"x").serialize(mask=True)
PART = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)


# -- time ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        {"session_seconds": 30},
        {"grant": {"session_seconds": 30}, "session_seconds": 10},
        {"grant": {"session_seconds": 30, "idle_seconds": 0}, "idle_seconds": 1},
    ],
)
def test_a_session_ends_at_its_age(made: dict[str, Any]) -> None:
    world = world_of(**{"idle_seconds": 0, **made})
    downstream, upstream = world.open()
    go_on(world, downstream, upstream, 29, says=True)
    assert (downstream.close, upstream.close) == (None, None)
    go_on(world, downstream, upstream, 2, says=False)
    close = (1001, "relay: session lasted too long")
    assert (downstream.close, upstream.close) == (close, close)
    world.advance(4)
    (end,) = world.listener.ends
    assert (end.close_code, end.closed_by) == (1001, "relay")
    assert world.is_clean()


@pytest.mark.parametrize(
    "made", [{"idle_seconds": 40}, {"grant": {"idle_seconds": 40}, "idle_seconds": 10}]
)
def test_a_session_in_which_nothing_crosses_ends(made: dict[str, Any]) -> None:
    world = world_of(**made)
    downstream, upstream = world.open()
    go_on(world, downstream, upstream, 39, says=False)
    assert downstream.close is None
    go_on(world, downstream, upstream, 12, says=False)
    assert downstream.close == upstream.close == (1001, "relay: session was idle too long")
    world.advance(4)
    assert world.is_clean()


def test_a_session_in_which_something_crosses_now_and_then_goes_on() -> None:
    world = world_of(idle_seconds=40)
    downstream, upstream = world.open()
    for _ in range(5):
        go_on(world, downstream, upstream, 38, says=False)
        downstream.send("still here")
    assert downstream.close is None


def test_with_0_a_session_goes_on_for_ever_and_has_no_timer_for_it() -> None:
    world = world_of(session_seconds=0, idle_seconds=0)
    world.open()
    with_limits = world_of()
    with_limits.open()
    count = len(with_limits.reactor.getDelayedCalls())
    assert len(world.reactor.getDelayedCalls()) == count - 1


# -- floods --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "chunk"),
    [
        ({"messages_per_second": 100}, FRAME),
        ({"messages_per_second": 100, "message_fragments": 100_000}, PART),
        ({"bytes_per_second": 700}, FRAME),
        ({"grant": {"messages_per_second": 100}, "messages_per_second": 10**6}, FRAME),
        ({"grant": {"bytes_per_second": 700}, "bytes_per_second": 0}, FRAME),
    ],
)
def test_a_flood_of_tiny_frames_is_read_no_faster_than_the_rate(
    made: dict[str, Any], chunk: bytes
) -> None:
    world = world_of(**made)
    downstream, upstream = world.open()
    if chunk is PART:
        downstream.line.deliver(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
    downstream.line.deliver(chunk * 999)
    world.advance(0.5)
    assert not downstream.line.paused, "ten seconds' worth may come at once"
    downstream.line.deliver(chunk * 1000)
    world.advance(0.5)
    assert downstream.line.paused
    world.advance(10)
    assert not downstream.line.paused
    downstream.line.deliver(chunk * 1000)
    world.advance(0.5)
    assert downstream.line.paused
    upstream.line.take()
    world.advance(7)
    assert downstream.line.paused
    assert upstream.line.take() == b""
    downstream.line.lose()
    world.advance(4)
    assert world.is_clean()


def test_all_that_was_read_crosses_though_it_was_too_much() -> None:
    world = world_of(messages_per_second=10)
    downstream, upstream = world.open()
    chunk = FRAME * (sockets.FIRST_READ // len(FRAME))
    downstream.line.deliver(chunk)
    world.advance(10)
    upstream.read()
    assert upstream.received == ["x"] * (len(chunk) // len(FRAME))


def test_what_upstream_sends_is_not_counted() -> None:
    world = world_of(messages_per_second=10, bytes_per_second=10)
    downstream, upstream = world.open()
    for _ in range(1000):
        upstream.send("x")
    assert not upstream.line.paused
    downstream.read()
    assert len(downstream.received) == 1001


def test_who_goes_on_is_closed_on_both_sides() -> None:
    world = world_of(messages_per_second=100)
    downstream, upstream = world.open()
    for _ in range(75):
        downstream.line.deliver(FRAME * 500)
        world.advance(1)
        upstream.read()
    downstream.read()
    close = (1008, "relay: client sent too much for too long")
    assert (downstream.close, upstream.close) == (close, close)
    world.advance(4)
    (end,) = world.listener.ends
    assert (end.close_code, end.closed_by) == (1008, "relay")


def test_the_pongs_of_a_client_that_is_not_read_are_not_missed() -> None:
    world = world_of(messages_per_second=100)
    downstream, upstream = world.open()
    downstream.line.deliver(FRAME * 1000 * 6)
    for _ in range(55):
        world.advance(1)
        world.settle(downstream, upstream)
    assert downstream.close is None
    assert world.factory.active_sessions == 1
