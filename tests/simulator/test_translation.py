"""A translation session, without a network."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeTranslationServerEvent
from simulator.talk import Event, check_as, models_of

from relay.simulator import translation as translation_module
from relay.simulator.translation import FRAME, Translation

MODELS = models_of(RealtimeTranslationServerEvent)
SOUND = b"\x01\x02" * (FRAME // 2)


class Client:
    """A client of one session, and everything it was told."""

    def __init__(self) -> None:
        ids = count(1)
        self.session = Translation("m", lambda: 1000.5, lambda kind: f"{kind}_{next(ids)}")
        self.opening = self.check(self.session.opening())

    def check(self, events: list[Event]) -> list[Event]:
        for event in events:
            check_as(event, MODELS)
        return events

    def send(self, kind: str, **more: object) -> list[Event]:
        return self.check(self.session.receive(json.dumps({"type": kind, **more}).encode()))

    def say(self, samples: bytes) -> list[Event]:
        audio = b64encode(samples).decode()
        return self.send("session.input_audio_buffer.append", audio=audio)

    def rest(self) -> list[Event]:
        """All that is said by itself."""
        events: list[Event] = []
        while self.session.speaking:
            events += self.session.advance()
        return self.check(events)


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def heard(events: list[Event]) -> bytes:
    sounds = (e["delta"] for e in events if e["type"] == "session.output_audio.delta")
    return b"".join(map(b64decode, sounds))


def test_a_session_begins_by_itself() -> None:
    (created,) = Client().opening
    assert created == {
        "type": "session.created",
        "event_id": "event_2",
        "session": {
            "type": "translation",
            "id": "sess_1",
            "model": "m",
            "expires_at": 4600,
            "audio": {
                "input": {"transcription": None, "noise_reduction": None},
                "output": {"language": None},
            },
        },
    }


def test_sound_is_translated_frame_by_frame() -> None:
    client = Client()
    assert client.say(SOUND + SOUND[:-2]) == []
    transcript, sound = client.rest()
    assert transcript["type"] == "session.output_transcript.delta"
    assert transcript["delta"] == "(0.2 s) "
    assert transcript["elapsed_ms"] == 200
    assert sound["type"] == "session.output_audio.delta"
    assert b64decode(sound["delta"]) == SOUND
    assert (sound["sample_rate"], sound["channels"], sound["format"]) == (24_000, 1, "pcm16")
    assert sound["elapsed_ms"] == 200


def test_what_is_short_of_a_frame_waits_for_the_rest() -> None:
    client = Client()
    client.say(SOUND[:-2])
    assert client.rest() == []
    client.say(SOUND[-2:])
    assert heard(client.rest()) == SOUND


def test_silence_is_translated_without_words() -> None:
    client = Client()
    client.say(bytes(FRAME))
    assert kinds(client.rest()) == ["session.output_audio.delta"]


def test_the_source_is_transcribed_on_request() -> None:
    client = Client()
    audio = {"input": {"transcription": {"model": "w"}}}
    (updated,) = client.send("session.update", session={"audio": audio})
    assert updated["session"]["audio"]["input"]["transcription"] == {"model": "w"}
    client.say(SOUND)
    assert kinds(client.rest()) == [
        "session.input_transcript.delta",
        "session.output_transcript.delta",
        "session.output_audio.delta",
    ]


def test_an_update_changes_only_what_it_names() -> None:
    client = Client()
    client.send("session.update", session={"audio": {"output": {"language": "es"}}})
    noise = {"noise_reduction": {"type": "near_field", "strength": 0.5}}
    (updated,) = client.send("session.update", session={"audio": {"input": noise}})
    assert updated["type"] == "session.updated"
    assert updated["session"]["audio"] == {
        "input": {"transcription": None, **noise},
        "output": {"language": "es"},
    }


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": {"model": "n"}}, "unknown_parameter", "model"),
        (
            {"type": "session.update", "session": {"audio": {"input": {"language": "de"}}}},
            "unknown_parameter",
            "audio.input.language",
        ),
        ({"type": "response.create"}, "invalid_value", "type"),
        ({"type": "session.input_audio_buffer.append", "audio": "?"}, "invalid_value", "audio"),
    ],
)
def test_a_mistake_is_told_and_ends_nothing(event: Event, code: str, param: str) -> None:
    client = Client()
    (error,) = client.session.receive(json.dumps({**event, "event_id": "mine"}).encode())
    assert error["type"] == "error"
    assert error["error"]["code"] == code
    assert str(error["error"]["param"]).endswith(param)
    assert error["error"]["event_id"] == "mine"
    client.say(SOUND)
    assert heard(client.rest()) == SOUND


def test_a_close_waits_for_the_rest_of_the_translation() -> None:
    client = Client()
    client.say(SOUND + SOUND[:6])
    assert client.send("session.close") == []
    assert not client.session.ended
    events = client.rest()
    assert heard(events) == SOUND + SOUND[:6]
    assert kinds(events)[-1] == "session.closed"
    assert client.session.ended
    assert client.session.advance() == []


def test_nothing_is_translated_that_comes_behind_a_close() -> None:
    client = Client()
    client.send("session.close")
    client.say(SOUND)
    assert kinds(client.rest()) == ["session.closed"]


def test_audio_that_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation_module, "MAX_BUFFER", FRAME)
    client = Client()
    assert client.say(SOUND) == []
    (error,) = client.say(b"\0\0")
    assert error["error"]["code"] == "input_audio_buffer_full"
    client.rest()
    assert client.say(SOUND) == []


@given(st.lists(st.binary(max_size=3 * FRAME), max_size=5))
def test_what_is_said_comes_back_whole(pieces: list[bytes]) -> None:
    client = Client()
    for piece in pieces:
        client.say(piece)
    client.send("session.close")
    assert heard(client.rest()) == b"".join(pieces)
