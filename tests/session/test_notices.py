"""A client that asks for it is told before its session ends; nobody else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory import World
from websockets.frames import Frame, Opcode

from relay import Grant, Limits, Settings
from relay.rules.notices import notice
from relay.testing.peers import Peer

pytestmark = pytest.mark.usefixtures("plane")

NOW = 1_800_000_000.0
ASKS = ["realtime", "relay.notices"]


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW)


def world_of(grant: Grant | None = None, **settings: Any) -> World:
    made = Settings(limits=Limits(session_seconds=600), **settings)
    return World(settings=made, options={"admit": lambda _: grant or Grant("ann")})


def opened(
    world: World, first: dict[str, Any] | None = None, asks: Any = ASKS
) -> tuple[Peer, Peer]:
    downstream = world.downstream(subprotocols=asks)
    upstream = world.answering()
    session = {"type": "session.created", "session": first or {}}
    upstream.send(json.dumps(session))
    world.settle(downstream, upstream)
    downstream.received.clear()
    return downstream, upstream


def told(world: World, downstream: Peer) -> list[dict[str, Any]]:
    downstream.read()
    found = [json.loads(each) for each in downstream.received]
    downstream.received.clear()
    return [each for each in found if each["type"].startswith("relay.")]


def live(world: World, peers: tuple[Peer, Peer], seconds: float) -> None:
    """Time passes, and both answer Pings."""
    for _ in range(round(seconds)):
        world.advance(1)
        world.settle(*peers)


def test_the_end_of_a_session_is_told_in_time() -> None:
    world = world_of()
    peers = opened(world)
    live(world, peers, 538)
    assert told(world, peers[0]) == []
    live(world, peers, 3)
    (event,) = told(world, peers[0])
    assert (event["type"], event["reason"]) == ("relay.expiring", "session_seconds")
    assert event["seconds"] == 60
    assert event["request_id"].startswith("req_")


@pytest.mark.parametrize("asks", [None, ["realtime"], ["realtime", "relay.refusals.event"]])
def test_who_does_not_ask_is_not_told(asks: Any) -> None:
    world = world_of(drain_seconds=120)
    peers = opened(world, asks=asks)
    live(world, peers, 541)
    world.factory.drain()
    live(world, peers, 1)
    assert told(world, peers[0]) == []


@pytest.mark.parametrize(
    ("grant", "first", "reason", "seconds"),
    [
        (Grant("ann", expires=NOW + 30, end_on_expiry=True), {}, "credential", 30),
        (Grant("ann", expires=NOW + 30), {"expires_at": NOW + 20}, "service", 20),
        (
            Grant("ann", expires=NOW + 10, end_on_expiry=True),
            {"expires_at": NOW + 20},
            "credential",
            10,
        ),
    ],
)
def test_the_first_of_several_ends_is_told_at_once_if_it_is_near(
    grant: Grant, first: dict[str, Any], reason: str, seconds: int
) -> None:
    world = world_of(grant)
    peers = opened(world, first)
    world.advance(0.1)
    (event,) = told(world, peers[0])
    assert (event["reason"], event["seconds"]) == (reason, seconds)


@pytest.mark.parametrize("said", [None, "soon", True, -1, 1e300])
def test_a_service_that_says_no_time_says_nothing(said: object) -> None:
    world = world_of()
    peers = opened(world, {"expires_at": said})
    live(world, peers, 5)
    assert told(world, peers[0]) == []


def test_a_drain_is_told_with_the_time_that_is_left() -> None:
    world = world_of(drain_delay_seconds=5, drain_seconds=30, drain_spread_seconds=10)
    peers = opened(world)
    world.factory.drain()
    world.advance(0.1)
    (event,) = told(world, peers[0])
    assert (event["type"], event["reason"], event["seconds"]) == ("relay.draining", "drain", 25)
    live(world, peers, 36)
    assert told(world, peers[0]) == [], "once"


def test_all_of_many_are_told() -> None:
    world = world_of(drain_seconds=30)
    downstreams = [opened(world)[0] for _ in range(120)]
    world.factory.drain()
    world.advance(0.2)
    assert all(len(told(world, each)) == 1 for each in downstreams)


def test_a_notice_stands_between_two_messages_and_never_within_one() -> None:
    world = world_of(drain_seconds=120)
    downstream, upstream = opened(world)
    begun = Frame(Opcode.TEXT, b'{"type":"a",', fin=False).serialize(mask=False)
    rest = Frame(Opcode.CONT, b'"delta":"b"}').serialize(mask=False)
    upstream.line.deliver(begun + rest[:5])
    world.factory.drain()
    world.advance(1)
    downstream.read()
    if world.plane == "splice":
        assert told(world, downstream) == []
    upstream.line.deliver(rest[5:])
    world.advance(0.2)
    downstream.read()
    kinds = [json.loads(each)["type"] for each in downstream.received]
    assert sorted(kinds) == ["a", "relay.draining"]


def test_a_client_that_reads_nothing_is_told_nothing() -> None:
    world = world_of(drain_seconds=60)
    downstream, upstream = opened(world)
    while not upstream.line.paused:
        upstream.send(b"x" * 65536)
    world.factory.drain()
    world.advance(1)
    for _ in range(200):
        downstream.read()
    world.advance(0.2)
    downstream.read()
    assert [each for each in downstream.received if isinstance(each, str)], "once it reads"


def test_a_session_that_is_over_is_told_nothing_more() -> None:
    world = world_of(drain_seconds=120)
    downstream, upstream = opened(world)
    begun = Frame(Opcode.TEXT, b'{"type":"a",', fin=False).serialize(mask=False)
    upstream.line.deliver(begun)
    world.factory.drain()
    downstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.lose()
    world.advance(5)
    assert world.factory.active_sessions == 0
    assert world.is_clean()


@pytest.mark.parametrize(
    ("asks", "selected"),
    [
        (["relay.notices"], "relay.notices"),
        (["relay.notices", "relay.refusals.event"], "relay.notices"),
        (["realtime", "relay.notices"], "realtime"),
        (["other", "relay.notices"], None),
    ],
)
def test_what_is_selected_is_what_means_most(asks: Any, selected: str | None) -> None:
    world = world_of()
    downstream, _ = opened(world, asks=asks)
    assert downstream.sans.subprotocol == selected


def test_an_event_says_no_less_than_nothing() -> None:
    assert json.loads(notice("drain", -3, "req_1"))["seconds"] == 0
