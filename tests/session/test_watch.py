"""One watches a session, in memory: what is told of it, and that nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import Factory, define
from memory import World, last_words
from twisted.logger import capturedLogs
from websockets.frames import Frame, Opcode

from relay import Settings, Upstream
from relay.config.policy import PolicyTable
from relay.session import watch as module
from relay.session.glance import BEGINNING, Glance
from relay.session.splice import Lane
from relay.telemetry.crossings import Crossing, Crossings
from relay.telemetry.records import ClosedRecord

pytestmark = pytest.mark.usefixtures("plane")


@define
class Watching:
    """One who watches the only session of a world."""

    world: World
    payloads: bool = False
    batches: list[Crossings] = Factory(list)
    stop: Callable[[], None] = Factory(
        lambda self: self.world_handle().watch(self.batches.append, payloads=self.payloads),
        takes_self=True,
    )

    def world_handle(self) -> Any:
        (handle,) = self.world.factory.handles.find()
        return handle

    @property
    def crossed(self) -> list[Crossing]:
        return [each for batch in self.batches for each in batch.crossed]

    @property
    def brief(self) -> list[tuple[str, str | None, int]]:
        return [(each.sender, each.type, each.bytes) for each in self.crossed]

    @property
    def closed(self) -> ClosedRecord | None:
        return self.batches[-1].closed


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def unwatched(world: World) -> dict[str, Any]:
    """What a session runs by, which is another while it is watched."""
    (session,) = world.factory._register.sessions
    vital: Any = session
    peers = list(vital._peers.values())
    found = {
        "message": vital.message,
        "plane": {name: vars(vital._plane).get(name) for name in ("message", "cross")},
        "received": [peer.line.received for peer in peers],
        "own": [sorted(name for name in ("say",) if name in vars(peer)) for peer in peers],
    }
    return found


def test_messages_of_both_sides_are_told_in_order_once_each() -> None:
    world = World()
    downstream, upstream = world.open()
    world.advance(2)
    watching = Watching(world)
    sent = [event("session.update"), event("response.create", n=1)]
    for each in sent:
        downstream.send(each)
    answers = [event("session.updated"), event("response.output_audio.delta", delta="A" * 50_000)]
    for each in answers:
        upstream.send(each)
    world.settle(downstream, upstream)
    world.advance(0.2)
    assert watching.brief == [
        ("client", "session.update", len(sent[0])),
        ("client", "response.create", len(sent[1])),
        ("upstream", "session.updated", len(answers[0])),
        ("upstream", "response.output_audio.delta", len(answers[1])),
    ]
    assert [each.number for each in watching.crossed] == [1, 2, 3, 4]
    assert watching.crossed[0].seconds == pytest.approx(2, abs=0.1)
    assert {each.payload for each in watching.crossed} == {None}
    assert upstream.received == sent
    assert downstream.received[1:] == answers


def test_they_are_told_ten_times_a_second_and_nothing_while_nothing_crosses() -> None:
    world = World()
    downstream, _ = world.open()
    watching = Watching(world)
    calls = len(world.reactor.getDelayedCalls())
    world.advance(1)
    assert (watching.batches, len(world.reactor.getDelayedCalls())) == ([], calls)
    for _ in range(10):
        downstream.send("x")
    world.advance(0.05)
    assert watching.batches == []
    world.advance(0.1)
    (batch,) = watching.batches
    assert len(batch.crossed) == 10
    world.advance(1)
    assert watching.batches == [batch]


def test_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MESSAGES", 3)
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world)
    for _ in range(5):
        downstream.send("x")
    world.advance(0.2)
    downstream.send("y")
    world.advance(0.2)
    assert [(len(each.crossed), each.missed) for each in watching.batches] == [(3, 2), (1, 0)]
    assert [each.number for each in watching.crossed] == [1, 2, 3, 6]
    upstream.read()
    assert len(upstream.received) == 6, "all crossed"


def test_bytes_that_do_not_fit_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 2 * BEGINNING)
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world, payloads=True)
    for _ in range(3):
        downstream.send("x " * BEGINNING)
        world.settle(upstream)
    world.advance(0.2)
    (batch,) = watching.batches
    assert (len(batch.crossed), batch.missed) == (2, 1)


def test_binary_and_fragmented_messages_are_told() -> None:
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world)
    upstream.send(b'{"type":"binary"}')
    upstream.send(b"\x00\xff")
    downstream.send_frame(Frame(Opcode.TEXT, b'{"type":"in', fin=False))
    downstream.send_frame(Frame(Opcode.PING, b"ping"))
    downstream.send_frame(Frame(Opcode.CONT, b' pieces"}'))
    downstream.send("")
    world.advance(0.2)
    assert watching.brief == [
        ("upstream", "binary", 17),
        ("upstream", None, 2),
        ("client", "in pieces", 20),
        ("client", None, 0),
    ]


def test_a_large_message_is_told_when_its_end_has_crossed() -> None:
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world)
    payload = event("big", filler="x" * 200_000).encode()
    frame = Frame(Opcode.TEXT, payload).serialize(mask=False)
    upstream.line.deliver(frame[:100_000])
    world.settle(downstream)
    world.advance(0.2)
    assert watching.crossed == []
    upstream.line.deliver(frame[100_000:])
    world.settle(downstream)
    world.advance(0.2)
    assert watching.brief == [("upstream", "big", len(payload))]


def test_pings_do_not_pile_up_for_who_watches(plane: str) -> None:
    world = World()
    downstream, _ = world.open()
    watching = Watching(world)
    for _ in range(50):
        downstream.send_frame(Frame(Opcode.PING, b"ping"))
        downstream.read()
    (session,) = world.factory._register.sessions
    vital: Any = session
    if plane == "splice":
        walk = vital._plane._lanes["downstream"]._watched._walk
        assert (walk.pings, walk.controls) == ([], 50)
    assert len(downstream.pongs) == 50
    assert watching.batches == []


def test_of_a_message_that_is_crossing_already_nothing_is_told(plane: str) -> None:
    world = World()
    downstream, _ = world.open()
    frame = Frame(Opcode.TEXT, event("first").encode()).serialize(mask=True)
    downstream.line.deliver(frame[:12])
    watching = Watching(world)
    downstream.line.deliver(frame[12:])
    downstream.send(event("second"))
    world.advance(0.2)
    types = [each.type for each in watching.crossed]
    # Where messages are parsed, each crosses when it is whole.
    assert types == (["second"] if plane == "splice" else ["first", "second"])


def test_payloads_are_told_only_to_who_asks_without_their_audio() -> None:
    world = World()
    downstream, _ = world.open()
    all_, types = Watching(world, payloads=True), Watching(world)
    downstream.send(event("input_audio_buffer.append", audio="A" * 1000))
    downstream.send("x " * BEGINNING)
    world.advance(0.2)
    append, long = all_.crossed
    assert append.payload is not None
    assert append.payload.startswith('{"type": "input_audio_buffer.append", "audio": "AAAA')
    assert append.payload.endswith('AAAA…[968 more characters]"}')
    assert not append.is_cut
    assert long.payload == "x " * (BEGINNING // 2)
    assert long.is_cut
    assert types.brief == all_.brief
    assert {(each.payload, each.is_cut) for each in types.crossed} == {(None, False)}


def test_the_key_is_in_no_payload() -> None:
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", credential="sk-canary-12345")
    world = World(upstream=upstream)
    _, answering = world.open()
    watching = Watching(world, payloads=True)
    answering.send(event("error", error={"message": "Incorrect key: sk-canary-12345"}))
    world.advance(0.2)
    (told,) = watching.crossed
    assert "canary" not in str(told.payload)


# -- its end -------------------------------------------------------------------------------


def test_the_end_is_told_last_with_what_crossed_just_before() -> None:
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world)
    upstream.send(event("bye"))
    upstream.send_close(4001, "enough")
    world.settle(downstream, upstream)
    upstream.line.fin()
    world.settle(downstream)
    assert [each.type for each in watching.crossed][:1] == ["bye"]
    assert watching.closed is not None
    assert (watching.closed.close_code, watching.closed.closed_by) == (4001, "upstream")
    assert [batch.closed for batch in watching.batches[:-1]] == [None] * (len(watching.batches) - 1)
    assert world.is_clean()
    watching.stop()


def test_what_came_for_a_side_that_is_closing_did_not_cross() -> None:
    world = World()
    downstream, upstream = world.open()
    upstream.answers_close = False
    watching = Watching(world)
    downstream.send_close(1000)
    upstream.send(event("late"))
    upstream.line.lose()
    world.settle(downstream)
    assert [each.type for each in watching.crossed] == []
    assert watching.closed is not None


def test_the_relays_own_words_are_told_as_its_own() -> None:
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world)
    watching.world_handle().close("for a test")
    world.settle(downstream, upstream)
    world.advance(5)
    assert last_words(downstream)["code"] == "ended_by_operator"
    (told,) = watching.crossed
    assert (told.sender, told.type) == ("relay", "error")
    assert watching.closed is not None
    assert watching.closed.closed_by == "relay"


# -- a policy ------------------------------------------------------------------------------


def test_under_a_policy_one_sees_what_the_client_sees_and_no_hidden_instructions() -> None:
    hidden = "Speak like a pirate."
    table = PolicyTable(events=("session.update",), force={"instructions": hidden})
    world = World(settings=Settings(policy=table))
    downstream, upstream = world.open(event("session.created", session={"type": "realtime"}))
    watching = Watching(world, payloads=True)
    upstream.send(event("session.updated", session={"instructions": hidden}))
    downstream.send(event("session.update", session={"instructions": "Be mine.", "speed": 1}))
    downstream.send(event("response.create"))
    world.settle(downstream, upstream)
    world.advance(0.2)
    assert hidden in str(upstream.received[-1])
    assert [(each.sender, each.type) for each in watching.crossed] == [
        ("upstream", "session.updated"),
        ("client", "session.update"),
        ("client", "response.create"),
        ("relay", "error"),
    ]
    told = str(watching.crossed)
    assert "Be mine." in told
    assert hidden not in told
    assert len(downstream.received) == 3, "the denial came"


# -- those who watch -----------------------------------------------------------------------


@pytest.mark.parametrize("policy", [PolicyTable(), PolicyTable(models=("m",))])
def test_when_the_last_one_leaves_the_session_is_what_it_was(policy: PolicyTable) -> None:
    world = World(settings=Settings(policy=policy))
    downstream, upstream = world.open()
    before = unwatched(world)
    first, second = Watching(world), Watching(world)
    assert unwatched(world) != before
    downstream.send(event("a"))
    first.stop()
    downstream.send(event("b"))
    world.advance(0.2)
    second.stop()
    second.stop()
    assert unwatched(world) == before
    downstream.send(event("c"))
    world.settle(downstream, upstream)
    world.advance(0.2)
    assert first.crossed == []
    assert [each.type for each in second.crossed] == ["a", "b"]
    assert [json.loads(each)["type"] for each in upstream.received] == ["a", "b", "c"]
    third = Watching(world)
    downstream.send(event("d"))
    world.advance(0.2)
    assert [(each.number, each.type) for each in third.crossed] == [(1, "d")]


def test_one_that_fails_ends_neither_the_session_nor_the_watching_of_others() -> None:
    world = World()
    downstream, _ = world.open()
    (handle,) = world.factory.handles.find()
    calls: list[Crossings] = []

    def fails(batch: Crossings) -> None:
        calls.append(batch)
        raise ZeroDivisionError

    handle.watch(fails)
    watching = Watching(world)
    with capturedLogs() as logged:
        for _ in range(2):
            downstream.send("x")
            world.advance(0.2)
    assert len(calls) == 1
    assert len(watching.crossed) == 2
    assert world.factory.active_sessions == 1
    assert ["told no more" in str(each["log_format"]) for each in logged] == [True]


@pytest.mark.parametrize("plane", ["splice"], indirect=True)
def test_a_lane_that_has_failed_is_not_read_again_when_one_looks_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    downstream, _ = world.open()
    (session,) = world.factory._register.sessions
    vital: Any = session
    watching = Watching(world)
    monkeypatch.setattr(Lane, "_pass_on", lambda lane, data: 1 / 0)
    with capturedLogs():
        downstream.send("x")
    line = vital._peers["downstream"].line
    failed = line.received
    watching.stop()
    assert line.received is failed


def raises(*args: object) -> Any:
    raise ZeroDivisionError


def test_what_cannot_be_told_ends_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    downstream, upstream = world.open()
    watching = Watching(world)
    monkeypatch.setattr(module, "type_of", raises)
    with capturedLogs() as logged:
        downstream.send("x")
    monkeypatch.undo()
    downstream.send("y")
    world.settle(upstream)
    world.advance(0.2)
    assert upstream.received == ["x", "y"]
    (batch,) = watching.batches
    assert ([each.number for each in batch.crossed], batch.missed) == ([2], 1)
    assert ["cannot be told" in str(each["log_format"]) for each in logged] == [True]


@pytest.mark.parametrize("plane", ["splice"], indirect=True)
def test_what_cannot_be_shown_ends_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    downstream, upstream = world.open()
    before = unwatched(world)
    Watching(world)
    monkeypatch.setattr(Glance, "__call__", raises)
    with capturedLogs() as logged:
        for text in ("x", "y"):
            downstream.send(text)
            upstream.send(text)
            world.settle(upstream, downstream)
    assert upstream.received == ["x", "y"]
    assert downstream.received[1:] == ["x", "y"]
    assert unwatched(world)["received"] == before["received"]
    assert ["shown no more" in str(each["log_format"]) for each in logged] == [True, True]


def test_a_session_that_is_over_is_told_nothing_of() -> None:
    world = World()
    downstream, upstream = world.open()
    (handle,) = world.factory.handles.find()
    downstream.send_close(1000)
    world.settle(upstream, downstream)
    world.advance(5)
    batches: list[Crossings] = []
    handle.watch(batches.append)()
    assert batches == []
    assert world.is_clean()


def test_one_may_watch_a_session_that_is_ending() -> None:
    world = World()
    downstream, upstream = world.open()
    downstream.answers_close = upstream.answers_close = False
    (handle,) = world.factory.handles.find()
    handle.close()
    downstream.line.lose()
    watching = Watching(world)
    upstream.line.lose()
    assert watching.closed is not None
    assert world.is_clean()
