"""
The parrot without I/O: client events in, server events out.
"""

from __future__ import annotations

import json

import pytest
from simulator.talk import Event, Talk, encoded, heard_audio, types

from relay.simulator import hearing
from relay.simulator.fields import MAX_AUDIO, MAX_DEPTH


class TestBuffer:
    def test_a_commit_makes_an_item_of_the_audio(self) -> None:
        talk = Talk()
        talk.append(b"ab")
        talk.append(b"cd")
        events = talk.say("input_audio_buffer.commit")
        assert types(events) == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        committed, added, finished = events
        assert committed["previous_item_id"] is None
        assert added["item"]["id"] == finished["item"]["id"] == committed["item_id"]
        assert added["item"]["role"] == "user"
        assert "audio" not in added["item"]["content"][0]

    def test_a_commit_names_the_item_before_it(self) -> None:
        talk = Talk()
        first = talk.speak(b"ab")
        talk.append(b"cd")
        committed, added, _ = talk.say("input_audio_buffer.commit")
        assert committed["previous_item_id"] == added["previous_item_id"] == first

    def test_a_commit_of_an_empty_buffer_is_refused(self) -> None:
        assert Talk().refused("input_audio_buffer.commit")["code"] == (
            "input_audio_buffer_commit_empty"
        )

    def test_clearing_empties_the_audio_buffer(self) -> None:
        talk = Talk()
        talk.append(b"ab")
        assert types(talk.say("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
        talk.refused("input_audio_buffer.commit")

    @pytest.mark.parametrize("audio", ["a", "ab=c", "ab c", "é", "\ud800"])
    def test_an_append_that_is_no_base64_is_refused(self, audio: str) -> None:
        error = Talk().refused("input_audio_buffer.append", audio=audio, event_id="mine")
        assert (error["code"], error["param"]) == ("invalid_value", "audio")
        assert error["event_id"] == "mine"

    def test_an_append_takes_15_mib_and_no_more(self) -> None:
        talk = Talk()
        talk.append(bytes(MAX_AUDIO))
        error = talk.refused("input_audio_buffer.append", audio=encoded(bytes(MAX_AUDIO + 1)))
        assert error["code"] == "string_above_max_length"

    def test_the_audio_buffer_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hearing, "MAX_BUFFER", 4)
        talk = Talk()
        talk.append(b"abcd")
        error = talk.refused("input_audio_buffer.append", audio=encoded(b"e"))
        assert error["code"] == "input_audio_buffer_full"
        talk.say("input_audio_buffer.commit")
        assert heard_audio(talk.answer()) == b"abcd"


def nested(levels: int) -> bytes:
    return b'{"type":"x","x":' + b"[" * levels + b"]" * levels + b"}"


class TestMistakes:
    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"no",
            b"[]",
            b"1",
            b'{"type":"input_audio_buffer.clear","x":NaN}',
            b'{"type":"input_audio_buffer.clear","x":1e999}',
            b"\xff\xfe",
            nested(MAX_DEPTH),
            nested(100_000),
        ],
    )
    def test_a_message_that_is_no_json_is_an_error_event(self, payload: bytes) -> None:
        talk = Talk()
        (event,) = talk.check(talk.conversation.receive(payload))
        assert event["error"]["code"] == "invalid_json"

    def test_nesting_just_below_the_limit_is_read(self) -> None:
        talk = Talk()
        (event,) = talk.check(talk.conversation.receive(nested(MAX_DEPTH - 1)))
        assert event["error"]["param"] == "type"

    def test_finite_numbers_pass(self) -> None:
        talk = Talk()
        payload = b'{"type":"input_audio_buffer.clear","x":1.5}'
        (event,) = talk.check(talk.conversation.receive(payload))
        assert event["type"] == "input_audio_buffer.cleared"

    def test_a_binary_message_is_an_error_event(self) -> None:
        talk = Talk()
        payload = b'{"type":"input_audio_buffer.clear"}'
        (event,) = talk.check(talk.conversation.receive(payload, is_binary=True))
        assert event["error"]["code"] == "invalid_message_type"

    @pytest.mark.parametrize(
        ("event", "code"),
        [
            ({}, "missing_required_parameter"),
            ({"type": 1}, "invalid_type"),
            ({"type": "response.dance", "event_id": "mine"}, "invalid_value"),
        ],
    )
    def test_an_event_of_unknown_type_is_an_error_event(self, event: Event, code: str) -> None:
        talk = Talk()
        (answer,) = talk.check(talk.conversation.receive(json.dumps(event).encode()))
        assert (answer["error"]["code"], answer["error"]["param"]) == (code, "type")
        assert answer["error"]["event_id"] == event.get("event_id")

    def test_an_event_id_that_is_no_text_is_not_repeated(self) -> None:
        assert Talk().refused("x", event_id=7)["event_id"] is None
