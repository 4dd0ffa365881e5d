"""
Transcription of the client's audio: its events, and how its usage is counted.
"""

from __future__ import annotations

import pytest
from simulator.talk import SECOND, Event, Talk, of, silence, tone, types

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
SAID = "(1.00 s of your own audio)"


def transcribing(model: str, **more: object) -> Talk:
    talk = Talk()
    talk.hears(transcription={"model": model, **more})
    return talk


def test_a_commit_is_transcribed() -> None:
    talk = transcribing("gpt-4o-transcribe", language="en", prompt="parrots")
    talk.append(SECOND)
    events = talk.say("input_audio_buffer.commit")
    assert types(events)[:3] == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    *deltas, completed = events[3:]
    assert {e["type"] for e in deltas} == {DELTA}
    assert len(deltas) > 1
    assert "".join(e["delta"] for e in deltas) == completed["transcript"] == SAID
    item_id = events[0]["item_id"]
    assert {(e["item_id"], e["content_index"]) for e in events[3:]} == {(item_id, 0)}
    # From then on, the item has its transcript.
    (event,) = talk.say("conversation.item.retrieve", item_id=item_id)
    assert event["item"]["content"][0]["transcript"] == SAID


def test_what_turn_detection_commits_is_transcribed_before_the_answer() -> None:
    events = transcribing("gpt-4o-transcribe").append(tone(500) + silence(500))
    kinds = types(events)
    assert kinds.index("conversation.item.done") < kinds.index(DELTA)
    assert kinds.index(COMPLETED) < kinds.index("response.created")


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        (
            "gpt-4o-mini-transcribe",
            {
                "type": "tokens",
                "total_tokens": 17,
                "input_tokens": 10,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 10},
                "output_tokens": 7,
            },
        ),
        ("whisper-1", {"type": "duration", "seconds": 1}),
        ("gpt-realtime-whisper", {"type": "duration", "seconds": 1}),
    ],
)
def test_the_model_decides_how_usage_is_counted(model: str, usage: Event) -> None:
    talk = transcribing(model)
    talk.speak(SECOND)
    assert of(talk.seen, COMPLETED)[0]["usage"] == usage


def test_whisper_says_all_at_once() -> None:
    talk = transcribing("whisper-1")
    talk.speak(SECOND)
    assert [e["delta"] for e in of(talk.seen, DELTA)] == [SAID]


def test_transcription_is_off_unless_asked_for() -> None:
    talk = transcribing("whisper-1")
    talk.hears(transcription=None)
    for each in (talk, Talk()):
        each.speak(SECOND)
        assert COMPLETED not in types(each.seen)


def test_what_was_not_said_by_audio_is_not_transcribed() -> None:
    talk = transcribing("whisper-1")
    talk.type("Hi.")
    assert COMPLETED not in types(talk.seen)


def test_a_transcription_session_transcribes_from_the_start() -> None:
    talk = Talk(model=None)
    assert talk.open()["session"]["audio"]["input"]["transcription"] == {
        "model": "gpt-4o-transcribe"
    }
    events = talk.append(tone(500) + silence(500))
    assert types(events)[-1] == COMPLETED
    assert events[-1]["transcript"] == SAID


def test_a_transcription_session_takes_another_model() -> None:
    talk = Talk(model=None)
    talk.hears(transcription={"model": "whisper-1"}, turn_detection=None)
    talk.speak(SECOND)
    assert talk.seen[-1]["usage"]["type"] == "duration"


def test_a_transcription_session_has_no_responses() -> None:
    error = Talk(model=None).refused("response.create")
    assert (error["code"], error["param"]) == ("invalid_value", "type")


@pytest.mark.parametrize("model", ["gpt-realtime", None])
def test_logprobs_come_if_the_session_includes_them(model: str | None) -> None:
    talk = Talk(model)
    talk.hears(transcription={"model": "gpt-4o-transcribe"}, turn_detection=None)
    talk.update(include=["item.input_audio_transcription.logprobs"])
    talk.speak(SECOND)
    *deltas, completed = talk.seen[-7:]
    tokens = [token["token"] for token in completed["logprobs"]]
    assert "".join(tokens) == SAID
    assert [e["logprobs"][0]["token"] for e in of(deltas, DELTA)] == tokens
