"""What upstream's events add up to: usage, responses, turns, and the time to first audio."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from memory import World
from websockets.frames import Frame, Opcode

from relay import ClosedRecord
from relay.session.splice import WHOLE
from relay.session.tally import MAX_AWAITED
from relay.testing.peers import Peer

pytestmark = pytest.mark.usefixtures("plane")

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
LIVE = {"seconds": 12, "active_seconds": 9, "paused_seconds": 3}


@pytest.fixture
def world(plane: str) -> World:
    return World()


_numbers = count()


def event(kind: str, last: bool = False, **fields: Any) -> str:
    """A server event; C{last}: some servers put the type behind all else."""
    numbered = {"event_id": f"event_{next(_numbers)}", **fields, "filler": "x" * 300}
    whole = {**numbered, "type": kind} if last else {"type": kind, **numbered}
    return json.dumps(whole)


def ended(world: World, downstream: Peer, upstream: Peer) -> ClosedRecord:
    upstream.line.fin()
    world.settle(downstream)
    (record,) = world.listener.ends
    return record


@pytest.fixture(params=[False, True], ids=["type first", "type last"])
def last(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# -- usage ---------------------------------------------------------------------------------


def test_a_transcription_billed_by_duration_adds_up_in_seconds(world: World, last: bool) -> None:
    downstream, upstream = world.open()
    for seconds in (1.5, 2):
        usage = {"seconds": seconds, "type": "duration"}
        upstream.send(event(TRANSCRIBED, last, usage=usage))
    record = ended(world, downstream, upstream)
    assert record.usage_seconds == {"transcription": 3.5}
    assert record.tokens == {}


def test_of_a_live_sessions_cumulative_seconds_the_last_count(world: World, last: bool) -> None:
    downstream, upstream = world.open()
    for seconds in (4, 8):
        upstream.send(event("session.usage.updated", last, usage={"seconds": seconds}))
    upstream.send(event("session.closed", last, reason="expired", usage=LIVE))
    record = ended(world, downstream, upstream)
    expected = {"session": 12.0, "session_active": 9.0, "session_paused": 3.0}
    assert record.usage_seconds == expected
    assert [told["type"] for told in world.listener.events] == [
        "session.usage.updated",
        "session.usage.updated",
        "session.closed",
    ]


def test_tokens_are_found_wherever_the_type_stands(world: World, last: bool) -> None:
    downstream, upstream = world.open()
    response = {"output": [{"type": "message"}], "usage": {"input_tokens": 7}}
    upstream.send(event("response.done", last, response=response))
    assert ended(world, downstream, upstream).tokens == {"input": 7}


def test_an_end_of_a_translation_keeps_the_usage_so_far(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send(event("session.usage.updated", usage={"seconds": 4}))
    upstream.send(event("session.closed"))
    assert ended(world, downstream, upstream).usage_seconds == {"session": 4.0}


# -- responses and turns -------------------------------------------------------------------


def test_responses_are_counted_by_how_they_ended(world: World, last: bool) -> None:
    downstream, upstream = world.open()
    for status in ("completed", "cancelled", "cancelled", "strange"):
        upstream.send(event("response.done", last, response={"status": status}))
    record = ended(world, downstream, upstream)
    assert record.responses == {"completed": 1, "cancelled": 2, "other": 1}


def test_turns_of_speech_are_counted_and_told_to_no_listener(world: World, last: bool) -> None:
    downstream, upstream = world.open()
    for _ in range(2):
        upstream.send(event("input_audio_buffer.speech_started", last))
        upstream.send(event("input_audio_buffer.speech_stopped", last))
    record = ended(world, downstream, upstream)
    assert record.turns == 2
    assert world.listener.events == []


# -- the first audio -----------------------------------------------------------------------


def created(upstream: Peer, response: str = "r", last: bool = False) -> None:
    upstream.send(event("response.created", last, response={"id": response}))


def speaks(
    upstream: Peer, response: str = "r", last: bool = False, name: str = "output_audio"
) -> None:
    delta = event(f"response.{name}.delta", last, response_id=response, delta="x" * 16_000)
    upstream.send(delta)


def done(upstream: Peer, response: str = "r") -> None:
    upstream.send(event("response.done", response={"id": response}))


@pytest.mark.parametrize("name", ["output_audio", "audio"])
def test_the_time_to_first_audio_is_told_once_for_each_response(
    world: World, last: bool, name: str
) -> None:
    _, upstream = world.open()
    for wait in (0.5, 1.25):
        created(upstream, last=last)
        world.advance(wait)
        for _ in range(3):
            speaks(upstream, last=last, name=name)
            world.advance(0.25)
        done(upstream)
    assert world.listener.audio == [0.5, 1.25]


def test_a_response_that_speaks_no_word_is_not_timed(world: World) -> None:
    _, upstream = world.open()
    created(upstream, "silent")
    done(upstream, "silent")
    speaks(upstream, "silent")
    created(upstream, "text")
    upstream.send(event("response.output_audio_transcript.delta", response_id="text"))
    assert world.listener.audio == []


def test_speech_that_ends_later_begins_the_time_anew(world: World, last: bool) -> None:
    _, upstream = world.open()
    upstream.send(event("input_audio_buffer.speech_stopped", last))
    world.advance(1)
    created(upstream)
    world.advance(1)
    upstream.send(event("input_audio_buffer.speech_stopped", last))
    world.advance(0.5)
    speaks(upstream)
    assert world.listener.audio == [0.5]


def test_the_end_of_speech_before_a_response_is_not_its_beginning(world: World) -> None:
    _, upstream = world.open()
    upstream.send(event("input_audio_buffer.speech_stopped"))
    world.advance(1)
    created(upstream)
    world.advance(0.25)
    speaks(upstream)
    assert world.listener.audio == [0.25]


def test_of_two_responses_at_once_each_is_timed_by_its_own_audio(world: World, last: bool) -> None:
    _, upstream = world.open()
    created(upstream, "one")
    world.advance(1)
    created(upstream, "two")
    speaks(upstream, "one", last)
    world.advance(0.5)
    speaks(upstream, "one", last)
    speaks(upstream, "two", last)
    assert world.listener.audio == [1.0, 0.5]


def test_of_responses_without_end_some_are_awaited_and_no_more(world: World) -> None:
    downstream, upstream = world.open()
    for number in range(MAX_AWAITED + 5):
        created(upstream, f"r{number}")
    for number in range(MAX_AWAITED + 5):
        speaks(upstream, f"r{number}")
        downstream.read()
    assert len(world.listener.audio) == MAX_AWAITED


def test_first_audio_in_a_large_delta_is_heard_when_its_beginning_comes(plane: str) -> None:
    world = World()
    _, upstream = world.open()
    created(upstream)
    delta = event("response.output_audio.delta", response_id="r", delta="x" * (WHOLE + 1))
    whole = Frame(Opcode.TEXT, delta.encode()).serialize(mask=False)
    world.advance(0.5)
    upstream.line.deliver(whole[:1000])
    world.advance(0.25)
    upstream.line.deliver(whole[1000:])
    assert world.listener.audio == [0.5 if plane == "splice" else 0.75]


def test_while_nothing_is_awaited_no_delta_is_parsed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, upstream = world.open()
    created(upstream)
    speaks(upstream)
    monkeypatch.setattr("relay.session.peek.Peek._hear", lambda *_: 1 / 0)
    monkeypatch.setattr("relay.session.tally.parse_json", lambda _: 1 / 0)
    for _ in range(3):
        speaks(upstream)
    assert world.factory.active_sessions == 1
    assert len(world.listener.audio) == 1


# -- what never crossed --------------------------------------------------------------------


@pytest.mark.parametrize("from_upstream", [True, False])
def test_what_comes_while_the_other_side_is_closing_is_not_counted(
    world: World, from_upstream: bool
) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    sender.send(b"four")
    receiver.answers_close = sender.answers_close = False
    receiver.send_close(1000)
    for _ in range(3):
        sender.send_frame(Frame(Opcode.BINARY, b"too late"))
    sender.send_frame(Frame(Opcode.BINARY, b"x" * 70_000))
    told = world.factory.traffic()["upstream" if from_upstream else "downstream"]
    first = len('{"type":"session.created"}') if from_upstream else 0
    assert (told.messages, told.bytes) == (1 + from_upstream, first + 4)
    receiver.read()
    assert b"too late" not in receiver.received
    world.advance(10)
    (record,) = world.listener.ends
    assert record.sent["upstream" if from_upstream else "downstream"] == told


def test_what_comes_for_a_side_that_is_lost_is_not_counted(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send(b"four")
    upstream.answers_close = False
    downstream.line.reset()
    for _ in range(3):
        upstream.send_frame(Frame(Opcode.BINARY, b"too late"))
    upstream.line.fin()
    (record,) = world.listener.ends
    sent = record.sent["upstream"]
    assert (sent.messages, sent.bytes) == (2, len('{"type":"session.created"}') + 4)


def test_what_waits_for_a_reader_when_it_closes_is_counted(world: World) -> None:
    downstream, upstream = world.open()
    for _ in range(3):
        upstream.send(b"x" * 60_000)
    downstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    (record,) = world.listener.ends
    assert record.sent["upstream"].messages == len(downstream.received) >= 3


def test_a_frame_that_never_was_whole_is_not_counted(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send(b"four")
    upstream.line.deliver(Frame(Opcode.BINARY, b"x" * 1000).serialize(mask=False)[:600])
    told = world.factory.traffic()["upstream"]
    assert (told.messages, told.bytes) == (2, len('{"type":"session.created"}') + 4)
    assert ended(world, downstream, upstream).sent["upstream"] == told


def test_a_large_frame_that_a_close_waits_for_is_counted_whole(plane: str) -> None:
    world = World()
    downstream, upstream = world.open()
    large = Frame(Opcode.BINARY, b"x" * (WHOLE + 1)).serialize(mask=False)
    upstream.line.deliver(large[:2000])
    downstream.answers_close = False
    downstream.send_close(1000)
    upstream.line.deliver(large[2000:] + large)
    world.settle(downstream)
    sent = world.factory.traffic()["upstream"]
    came = [len(message) for message in downstream.received]
    assert (sent.messages, sent.bytes) == (len(came), sum(came))
    assert len(came) == (2 if plane == "splice" else 1)


def test_what_goes_to_a_side_that_was_just_dropped_is_not_counted(world: World) -> None:
    downstream, upstream = world.open()
    (session,) = world.factory._register.sessions
    session._peers["downstream"].state = 0  # type: ignore[attr-defined]  # closed; nobody knows
    upstream.send(b"too late")
    sent = world.factory.traffic()["upstream"]
    assert (sent.messages, sent.bytes) == (1, len('{"type":"session.created"}'))
    downstream.read()
    assert len(downstream.received) == 1
