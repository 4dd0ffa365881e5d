"""
The parrot without I/O: client events in, server events out, each valid by the SDK's own types.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent

from relay.simulator import conversation as conversation_module
from relay.simulator import items as items_module
from relay.simulator.conversation import Conversation
from relay.simulator.fields import MAX_AUDIO, MAX_DEPTH
from relay.simulator.utterances import NOTHING_TO_SAY

Event = dict[str, Any]
NOW = 1_800_000_000.0
SECOND = bytes(48_000)
MODELS = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(RealtimeServerEvent)[0])
}


def encoded(samples: bytes) -> str:
    return b64encode(samples).decode("ascii")


def message(text: str, role: str = "user", **more: object) -> Event:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **more}


@dataclass
class Talk:
    """A conversation whose every answer is checked against the SDK's types."""

    model: str | None = "gpt-realtime"
    numbers: Iterator[int] = field(default_factory=count)
    conversation: Conversation = field(init=False)
    seen: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.model, lambda: NOW, self._new_id)

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{next(self.numbers)}"

    def check(self, events: list[Event]) -> list[Event]:
        for event in events:
            assert list(event)[:2] == ["type", "event_id"]
            MODELS[event["type"]].model_validate(event, strict=True)
            json.dumps(event, allow_nan=False)
        self.seen += events
        ids = [event["event_id"] for event in self.seen]
        assert len(ids) == len(set(ids))
        return events

    def open(self) -> Event:
        (event,) = self.check(self.conversation.opening())
        return event

    def say(self, kind: str, **fields: object) -> list[Event]:
        payload = json.dumps({"type": kind, **fields}).encode()
        return self.check(self.conversation.receive(payload))

    def refused(self, kind: str, **fields: object) -> Event:
        (event,) = self.say(kind, **fields)
        assert event["type"] == "error"
        error: Event = event["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        return error

    def append(self, samples: bytes) -> None:
        assert self.say("input_audio_buffer.append", audio=encoded(samples)) == []

    def speak(self, samples: bytes) -> str:
        self.append(samples)
        return str(self.say("input_audio_buffer.commit")[0]["item_id"])

    def listen(self) -> list[Event]:
        heard: list[Event] = []
        while self.conversation.speaking:
            heard += self.check(self.conversation.advance())
        return heard

    def answer(self, **fields: object) -> list[Event]:
        return self.say("response.create", **fields) + self.listen()


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def heard_audio(events: list[Event]) -> bytes:
    return b"".join(b64decode(e["delta"]) for e in of(events, "response.output_audio.delta"))


def heard_text(events: list[Event]) -> str:
    return "".join(e["delta"] for e in of(events, "response.output_text.delta"))


def done(events: list[Event]) -> Event:
    (event,) = of(events, "response.done")
    response: Event = event["response"]
    return response


class TestSession:
    def test_a_conversation_opens_with_its_session(self) -> None:
        event = Talk().open()
        session = event["session"]
        assert event["type"] == "session.created"
        assert session["type"] == "realtime"
        assert session["id"].startswith("sess_")
        assert session["model"] == "gpt-realtime"
        assert session["expires_at"] == NOW + 3600
        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert session["audio"]["input"]["turn_detection"] is None

    def test_without_a_model_a_transcription_session_opens(self) -> None:
        session = Talk(model=None).open()["session"]
        assert session["type"] == "transcription"
        assert "model" not in session
        assert "output" not in session["audio"]

    def test_a_session_update_changes_only_what_it_names(self) -> None:
        talk = Talk()
        before = talk.open()["session"]
        audio = {"output": {"voice": "cedar"}, "input": None}
        (event,) = talk.say(
            "session.update", session={"type": "realtime", "instructions": "Hi.", "audio": audio}
        )
        assert event["type"] == "session.updated"
        after = event["session"]
        assert after["audio"]["output"] == {**before["audio"]["output"], "voice": "cedar"}
        assert after["audio"]["input"] == before["audio"]["input"]
        changed = {key for key in after if after[key] != before[key]}
        assert changed == {"instructions", "audio"}
        assert before["instructions"] == ""

    def test_a_session_update_keeps_model_and_format(self) -> None:
        talk = Talk()
        (event,) = talk.say(
            "session.update",
            session={
                "type": "realtime",
                "model": "other",
                "output_modalities": None,
                "audio": {"input": {"format": None, "turn_detection": None}},
            },
        )
        assert event["session"]["model"] == "gpt-realtime"
        assert event["session"]["output_modalities"] == ["audio"]
        assert event["session"]["audio"]["input"]["format"]["type"] == "audio/pcm"

    def test_null_in_a_session_update_switches_off(self) -> None:
        talk = Talk()
        for reduction in ({"type": "near_field"}, None):
            audio = {"input": {"noise_reduction": reduction}}
            (event,) = talk.say("session.update", session={"type": "realtime", "audio": audio})
            assert event["session"]["audio"]["input"]["noise_reduction"] == reduction

    @pytest.mark.parametrize(
        ("session", "code", "param"),
        [
            (None, "missing_required_parameter", "session"),
            ("x", "invalid_type", "session"),
            ({}, "missing_required_parameter", "session.type"),
            ({"type": "transcription"}, "invalid_value", "session.type"),
            ({"type": "realtime", "id": "x"}, "unknown_parameter", "session.id"),
            ({"type": "realtime", "audio": []}, "invalid_type", "session.audio"),
            ({"type": "realtime", "audio": {"x": {}}}, "unknown_parameter", "session.audio.x"),
            (
                {"type": "realtime", "audio": {"input": {"x": 1}}},
                "unknown_parameter",
                "session.audio.input.x",
            ),
            (
                {"type": "realtime", "audio": {"input": {"format": {"type": "mp3"}}}},
                "invalid_value",
                "session.audio.input.format.type",
            ),
            (
                {"type": "realtime", "output_modalities": ["smell"]},
                "invalid_value",
                "session.output_modalities",
            ),
        ],
    )
    def test_a_wrong_session_update_is_refused(
        self, session: object, code: str, param: str
    ) -> None:
        talk = Talk()
        error = talk.refused("session.update", session=session)
        assert (error["code"], error["param"]) == (code, param)


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
        monkeypatch.setattr(conversation_module, "MAX_BUFFER", 4)
        talk = Talk()
        talk.append(b"abcd")
        error = talk.refused("input_audio_buffer.append", audio=encoded(b"e"))
        assert error["code"] == "input_audio_buffer_full"
        assert heard_audio(talk.answer()) == b"abcd"


class TestItems:
    def test_a_created_item_is_added_and_done(self) -> None:
        events = Talk().say("conversation.item.create", item=message("Hi."))
        assert types(events) == ["conversation.item.added", "conversation.item.done"]
        item = events[0]["item"]
        assert item["status"] == "completed"
        assert item["object"] == "realtime.item"
        assert item["content"] == [{"type": "input_text", "text": "Hi."}]

    @pytest.mark.parametrize(
        "item",
        [
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            message("Be kind.", "system"),
            message("Well.", "assistant"),
        ],
    )
    def test_items_of_other_kinds_can_be_created(self, item: Event) -> None:
        talk = Talk()
        added, _ = talk.say("conversation.item.create", item=item)
        (event,) = talk.say("conversation.item.retrieve", item_id=added["item"]["id"])
        assert event["type"] == "conversation.item.retrieved"
        assert event["item"] == added["item"]
        assert heard_text(talk.answer()) == NOTHING_TO_SAY

    def test_an_item_is_inserted_where_it_asks_for(self) -> None:
        talk = Talk()
        create = "conversation.item.create"
        for name, after, before in [
            ("a", None, None),
            ("b", None, "a"),
            ("c", "a", "a"),
            ("d", "root", None),
            ("e", None, "b"),
            ("f", "c", "c"),
        ]:
            item = message(name, id=name)
            events = talk.say(create, item=item, previous_item_id=after)
            assert [e["previous_item_id"] for e in events] == [before, before]
        talk.say(create, item=message("g", id="g"), previous_item_id="f")
        # The answer takes up the last one in order, not the last created.
        assert heard_text(talk.answer()) == "e"

    @pytest.mark.parametrize(
        ("fields", "code", "param"),
        [
            ({}, "missing_required_parameter", "item"),
            ({"item": {}}, "missing_required_parameter", "item.type"),
            ({"item": {"type": "dance"}}, "invalid_value", "item.type"),
            (
                {"item": {"type": "function_call", "name": "f"}},
                "missing_required_parameter",
                "item.arguments",
            ),
            ({"item": {"type": "message"}}, "missing_required_parameter", "item.role"),
            ({"item": message("x", "boss")}, "invalid_value", "item.role"),
            ({"item": message("x", id=7)}, "invalid_type", "item.id"),
            ({"item": message("x", content={})}, "invalid_type", "item.content"),
            ({"item": message("x", content=["x"])}, "invalid_type", "item.content[0]"),
            (
                {"item": message("x", content=[{"type": "output_text"}])},
                "invalid_value",
                "item.content[0].type",
            ),
            (
                {"item": message("x", content=[{"type": "input_text"}])},
                "missing_required_parameter",
                "item.content[0].text",
            ),
            (
                {"item": message("x", content=[{"type": "input_image", "text": 1}])},
                "invalid_type",
                "item.content[0].text",
            ),
            (
                {"item": message("x", content=[{"type": "input_audio", "audio": "?"}])},
                "invalid_value",
                "item.content[0].audio",
            ),
            (
                {"item": message("x"), "previous_item_id": "gone"},
                "item_create_invalid_previous_item_id",
                "previous_item_id",
            ),
            ({"item": message("x", id="taken")}, "item_create_invalid_item_id", "item.id"),
        ],
    )
    def test_a_wrong_item_is_refused(self, fields: Event, code: str, param: str) -> None:
        talk = Talk()
        talk.say("conversation.item.create", item=message("first", id="taken"))
        error = talk.refused("conversation.item.create", **fields)
        assert (error["code"], error["param"]) == (code, param)
        assert heard_text(talk.answer()) == "first"

    def test_a_retrieved_item_has_its_audio(self) -> None:
        talk = Talk()
        item_id = talk.speak(b"abcd")
        (event,) = talk.say("conversation.item.retrieve", item_id=item_id)
        assert b64decode(event["item"]["content"][0]["audio"]) == b"abcd"

    def test_a_deleted_item_is_gone(self) -> None:
        talk = Talk()
        item_id = talk.speak(b"abcd")
        assert talk.say("conversation.item.delete", item_id=item_id)[0]["item_id"] == item_id
        error = talk.refused("conversation.item.delete", item_id=item_id)
        assert error["code"] == "item_delete_invalid_item_id"
        # What was deleted is not parroted.
        assert heard_text(talk.answer()) == NOTHING_TO_SAY

    def test_retrieving_an_unknown_item_is_refused(self) -> None:
        error = Talk().refused("conversation.item.retrieve", item_id="x")
        assert (error["code"], error["param"]) == ("item_retrieve_invalid_item_id", "item_id")

    def test_over_the_limit_the_oldest_items_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(items_module, "MAX_WEIGHT", 8_000)
        talk = Talk()
        first = talk.speak(bytes(2_000))
        second = talk.speak(bytes(2_000))
        talk.say("conversation.item.retrieve", item_id=first)
        third = talk.speak(bytes(2_000))
        talk.refused("conversation.item.retrieve", item_id=first)
        for item_id in (second, third):
            assert types(talk.say("conversation.item.retrieve", item_id=item_id)) == [
                "conversation.item.retrieved"
            ]
        # The newest stays, however heavy.
        heavy = talk.speak(bytes(10_000))
        assert types(talk.say("conversation.item.retrieve", item_id=heavy)) == [
            "conversation.item.retrieved"
        ]
        talk.refused("conversation.item.retrieve", item_id=third)

    def test_spoken_items_count_towards_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(items_module, "MAX_WEIGHT", 8_000)
        talk = Talk()
        item = message("x" * 3_000, id="mine")
        talk.say("conversation.item.create", item=item)
        talk.answer()
        talk.refused("conversation.item.retrieve", item_id="mine")

    def test_inserted_items_count_towards_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(items_module, "MAX_WEIGHT", 8_000)
        talk = Talk()
        first = talk.speak(bytes(2_000))
        for name in ("a", "b"):
            item = message("x" * 2_000, id=name)
            talk.say("conversation.item.create", item=item, previous_item_id=first)
        talk.refused("conversation.item.retrieve", item_id=first)

    def test_a_deleted_item_makes_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(items_module, "MAX_WEIGHT", 8_000)
        talk = Talk()
        kept = talk.speak(bytes(2_000))
        for _ in range(9):
            talk.say("conversation.item.delete", item_id=talk.speak(bytes(2_000)))
        talk.say("conversation.item.retrieve", item_id=kept)
        assert talk.seen[-1]["type"] == "conversation.item.retrieved"


class TestTruncate:
    def spoken(self, samples: bytes = SECOND) -> tuple[Talk, str]:
        talk = Talk()
        talk.speak(samples)
        events = talk.answer()
        return talk, str(done(events)["output"][0]["id"])

    def test_truncation_cuts_audio_and_transcript(self) -> None:
        samples = bytes(range(256)) * 100
        talk, item_id = self.spoken(samples)
        fields: Event = {"item_id": item_id, "content_index": 0, "audio_end_ms": 10}
        (event,) = talk.say("conversation.item.truncate", **fields)
        assert event["type"] == "conversation.item.truncated"
        assert {key: event[key] for key in fields} == fields
        (event,) = talk.say("conversation.item.retrieve", item_id=item_id)
        (part,) = event["item"]["content"]
        assert b64decode(part["audio"]) == samples[:480]
        assert "transcript" not in part

    @pytest.mark.parametrize(
        ("fields", "code", "param"),
        [
            ({"item_id": "x"}, "item_truncate_invalid_item_id", "item_id"),
            ({"item_id": None}, "missing_required_parameter", "item_id"),
            ({"content_index": None}, "missing_required_parameter", "content_index"),
            ({"content_index": True}, "invalid_type", "content_index"),
            ({"content_index": 1}, "item_truncate_invalid_item_id", "item_id"),
            ({"audio_end_ms": None}, "missing_required_parameter", "audio_end_ms"),
            ({"audio_end_ms": 0.5}, "invalid_type", "audio_end_ms"),
            ({"audio_end_ms": -1}, "invalid_value", "audio_end_ms"),
            ({"audio_end_ms": 1001}, "invalid_value", "audio_end_ms"),
        ],
    )
    def test_a_wrong_truncation_is_refused(self, fields: Event, code: str, param: str) -> None:
        talk, item_id = self.spoken()
        right: Event = {"item_id": item_id, "content_index": 0, "audio_end_ms": 1000}
        error = talk.refused("conversation.item.truncate", **{**right, **fields})
        assert (error["code"], error["param"]) == (code, param)
        assert types(talk.say("conversation.item.truncate", **right)) == [
            "conversation.item.truncated"
        ]

    def test_an_item_can_be_truncated_to_nothing(self) -> None:
        talk, item_id = self.spoken()
        fields: Event = {"item_id": item_id, "content_index": 0, "audio_end_ms": 0}
        (event,) = talk.say("conversation.item.truncate", **fields)
        assert event["type"] == "conversation.item.truncated"

    def test_truncation_makes_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(items_module, "MAX_WEIGHT", 9_000)
        talk, item_id = self.spoken(bytes(3_000))
        fields: Event = {"item_id": item_id, "content_index": 0, "audio_end_ms": 0}
        talk.say("conversation.item.truncate", **fields)
        talk.speak(bytes(1_000))
        (event,) = talk.say("conversation.item.retrieve", item_id=item_id)
        assert event["type"] == "conversation.item.retrieved"
        first = talk.seen[0]["item_id"]
        talk.say("conversation.item.retrieve", item_id=first)
        assert talk.seen[-1]["type"] == "conversation.item.retrieved"

    def test_truncating_the_users_item_is_refused(self) -> None:
        talk = Talk()
        item_id = talk.speak(SECOND)
        talk.refused("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1)

    def test_a_truncation_during_the_answer_holds(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        added = talk.say("response.create")[1]
        item_id = added["item"]["id"]
        talk.say("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=10)
        assert heard_audio(talk.listen()) == SECOND
        (event,) = talk.say("conversation.item.retrieve", item_id=item_id)
        assert len(b64decode(event["item"]["content"][0]["audio"])) == 480

    def test_truncation_counts_in_the_sessions_format(self) -> None:
        talk = Talk()
        audio = {"input": {"format": {"type": "audio/pcmu"}}}
        talk.say("session.update", session={"type": "realtime", "audio": audio})
        talk.speak(bytes(8_000))
        response = done(talk.answer())
        assert response["output"][0]["content"][0]["transcript"].startswith("(1.00 s")
        assert response["usage"]["input_token_details"]["audio_tokens"] == 10


class TestAudioAnswer:
    def test_the_answer_is_the_same_audio(self) -> None:
        talk = Talk()
        samples = bytes(range(256)) * 120 + b"\x01"
        for start in range(0, len(samples), 1_000):
            talk.append(samples[start : start + 1_000])
        talk.say("input_audio_buffer.commit")
        events = talk.answer()
        assert heard_audio(events) == samples
        sizes = [len(e["delta"]) for e in of(events, "response.output_audio.delta")]
        assert sizes == [16_384, 16_384, 8_196]

    def test_the_events_of_an_audio_answer_have_their_order(self) -> None:
        talk = Talk()
        talk.speak(bytes(12_289))
        opening = talk.say("response.create")
        assert types(opening) == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
        ]
        assert types(talk.check(talk.conversation.advance())) == ["response.output_audio.delta"]
        assert types(talk.check(talk.conversation.advance())) == ["response.output_audio.delta"]
        assert types(talk.check(talk.conversation.advance())) == [
            "response.output_audio_transcript.delta",
            "response.output_audio_transcript.done",
            "response.output_audio.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
            "rate_limits.updated",
        ]
        assert not talk.conversation.speaking
        assert talk.conversation.advance() == []

    def test_the_events_of_an_answer_name_the_same_response_and_item(self) -> None:
        talk = Talk()
        user = talk.speak(SECOND)
        events = talk.answer()
        response_id = events[0]["response"]["id"]
        item_id = events[1]["item"]["id"]
        parts = [e for e in events if "content_index" in e]
        assert {e["response_id"] for e in events if "response_id" in e} == {response_id}
        assert {e["item_id"] for e in parts} == {item_id}
        assert len(parts) == len(events) - 7
        assert of(events, "conversation.item.added")[0]["previous_item_id"] == user
        response = done(events)
        assert response["id"] == response_id
        assert response["status"] == "completed"
        assert response["status_details"] is None
        assert response["output_modalities"] == ["audio"]
        (item,) = response["output"]
        assert (item["id"], item["status"]) == (item_id, "completed")
        assert item["content"] == [
            {"type": "output_audio", "transcript": "(1.00 s of your own audio)"}
        ]

    def test_an_answer_joins_all_audio_since_the_last_one(self) -> None:
        talk = Talk()
        talk.speak(b"before")
        talk.answer()
        talk.speak(b"ab")
        talk.say("conversation.item.create", item=message("not this"))
        content = [{"type": "input_audio", "audio": encoded(b"cd")}]
        talk.say(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": content},
        )
        talk.append(b"not committed")
        assert heard_audio(talk.answer()) == b"abcd"
        # Now nothing is committed, so the buffer is.
        events = talk.answer()
        assert types(events)[:3] == [
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
        ]
        assert heard_audio(events) == b"not committed"

    def test_an_answer_tells_its_usage(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        talk.say("conversation.item.create", item=message("12345678"))
        usage = done(talk.answer())["usage"]
        assert usage["input_token_details"]["audio_tokens"] == 10
        assert usage["input_token_details"]["text_tokens"] == 2
        assert usage["output_token_details"] == {"audio_tokens": 20, "text_tokens": 7}
        assert usage["input_tokens"] == 12
        assert usage["output_tokens"] == 27
        assert usage["total_tokens"] == 39

    def test_each_answer_lowers_the_rate_limits(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        for answers in (1, 2):
            events = talk.answer()
            requests, tokens = events[-1]["rate_limits"]
            assert requests["remaining"] == requests["limit"] - answers
        used = sum(e["response"]["usage"]["total_tokens"] for e in of(talk.seen, "response.done"))
        assert tokens["remaining"] == tokens["limit"] - used

    def test_an_answer_repeats_the_requests_metadata(self) -> None:
        assert done(Talk().answer())["metadata"] is None
        events = Talk().answer(response={"metadata": {"turn": "1"}})
        assert events[0]["response"]["metadata"] == done(events)["metadata"] == {"turn": "1"}

    @pytest.mark.parametrize("where", ["response", "session"])
    def test_audio_is_answered_as_text_if_asked(self, where: str) -> None:
        talk = Talk()
        talk.speak(SECOND)
        fields: Event = {"output_modalities": ["text"]}
        if where == "session":
            talk.say("session.update", session={"type": "realtime", **fields})
        events = talk.answer(response=fields if where == "response" else None)
        assert heard_text(events) == "(1.00 s of your own audio)"
        assert heard_audio(events) == b""
        assert done(events)["output_modalities"] == ["text"]

    def test_a_second_answer_at_the_same_time_is_refused(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        talk.say("response.create")
        error = talk.refused("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        assert heard_audio(talk.listen()) == SECOND

    @pytest.mark.parametrize(
        ("response", "param"),
        [
            ([], "response"),
            ({"output_modalities": "text"}, "response.output_modalities"),
            ({"metadata": 1}, "response.metadata"),
        ],
    )
    def test_a_wrong_request_for_an_answer_is_refused(self, response: object, param: str) -> None:
        talk = Talk()
        talk.append(b"ab")
        assert talk.refused("response.create", response=response)["param"] == param
        assert not talk.conversation.speaking
        assert heard_audio(talk.answer()) == b"ab"


class TestTextAnswer:
    def test_the_answer_is_the_same_text(self) -> None:
        talk = Talk()
        text = "Grüße, 世界! " * 30
        talk.say("conversation.item.create", item=message("first"))
        talk.say("conversation.item.create", item=message(text))
        events = talk.answer()
        assert heard_text(events) == text
        assert len(of(events, "response.output_text.delta")) > 1
        assert types(events)[-6:] == [
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
            "rate_limits.updated",
        ]
        assert of(events, "response.output_text.done")[0]["text"] == text
        response = done(events)
        assert response["output"][0]["content"] == [{"type": "output_text", "text": text}]
        assert response["output_modalities"] == ["text"]
        assert response["usage"]["output_token_details"]["audio_tokens"] == 0

    def test_an_answer_becomes_an_item_of_the_conversation(self) -> None:
        talk = Talk()
        talk.say("conversation.item.create", item=message("Hi."))
        item = done(talk.answer())["output"][0]
        (event,) = talk.say("conversation.item.retrieve", item_id=item["id"])
        assert event["item"] == item

    @pytest.mark.parametrize("model", ["gpt-realtime", None])
    def test_without_any_input_the_answer_says_so(self, model: str | None) -> None:
        assert heard_text(Talk(model).answer()) == NOTHING_TO_SAY

    def test_each_item_is_answered_once(self) -> None:
        talk = Talk()
        talk.say("conversation.item.create", item=message("Hi."))
        talk.answer()
        assert heard_text(talk.answer()) == NOTHING_TO_SAY


class TestCancel:
    def test_a_cancel_stops_the_answer(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        opening = talk.say("response.create")
        delta = talk.check(talk.conversation.advance())
        events = talk.say("response.cancel", response_id=opening[0]["response"]["id"])
        assert not talk.conversation.speaking
        assert types(events)[-2:] == ["response.done", "rate_limits.updated"]
        response = done(events)
        assert response["status"] == "cancelled"
        assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        (item,) = response["output"]
        assert item["status"] == "incomplete"
        assert response["usage"]["output_token_details"]["audio_tokens"] == 6
        # Of the item's audio only what was said is left.
        (event,) = talk.say("conversation.item.retrieve", item_id=item["id"])
        assert b64decode(event["item"]["content"][0]["audio"]) == heard_audio(delta)

    def test_a_cancel_before_the_first_delta_stops_the_answer(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        talk.say("response.create")
        response = done(talk.say("response.cancel"))
        assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": ""}]
        assert response["usage"]["output_tokens"] == 0

    def test_a_cancel_stops_a_text_answer(self) -> None:
        talk = Talk()
        talk.say("conversation.item.create", item=message("x" * 1_000))
        talk.say("response.create")
        said = heard_text(talk.check(talk.conversation.advance()))
        response = done(talk.say("response.cancel"))
        assert 0 < len(said) < 1_000
        assert response["output"][0]["content"][0]["text"] == said

    def test_a_cancel_without_an_answer_is_refused(self) -> None:
        error = Talk().refused("response.cancel", event_id="mine")
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")

    def test_a_cancel_of_another_response_is_refused(self) -> None:
        talk = Talk()
        talk.say("response.create")
        talk.refused("response.cancel", response_id="resp_other")
        assert talk.conversation.speaking

    def test_an_answer_whose_item_was_deleted_can_be_cancelled(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        item_id = talk.say("response.create")[1]["item"]["id"]
        talk.say("conversation.item.delete", item_id=item_id)
        talk.say("response.cancel")
        talk.refused("conversation.item.retrieve", item_id=item_id)


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
        (answer,) = talk.check(talk.conversation.receive_event(event))
        assert (answer["error"]["code"], answer["error"]["param"]) == (code, "type")
        assert answer["error"]["event_id"] == event.get("event_id")

    def test_an_event_id_that_is_no_text_is_not_repeated(self) -> None:
        assert Talk().refused("x", event_id=7)["event_id"] is None


_odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 2**70, 0.5, "", "x", "root", "YWI=", "\ud800", [], [{}], {}]
)
_part = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "input_audio", "input_image", 1])},
    optional={"text": _odd, "audio": _odd},
)
_item = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", None])},
    optional={
        "id": st.sampled_from(["a", "b", 1]),
        "role": st.sampled_from(["user", "assistant", "system", 1]),
        "content": st.lists(_part | _odd, max_size=2),
        "name": _odd,
    },
)
_session = st.fixed_dictionaries(
    {"type": st.sampled_from(["realtime", "transcription", None])},
    optional={
        "output_modalities": st.sampled_from([["text"], ["audio"], None, 1]),
        "max_output_tokens": _odd,
        "audio": _odd | st.fixed_dictionaries({}, optional={"input": _odd, "output": _odd}),
    },
)
_fields = st.fixed_dictionaries(
    {},
    optional={
        "audio": _odd,
        "item": _item | _odd,
        "item_id": st.sampled_from(["a", "b"]) | _odd,
        "session": _session | _odd,
        "response": _session | _odd,
        "content_index": _odd,
        "audio_end_ms": _odd,
        "previous_item_id": _odd,
        "event_id": _odd,
    },
)
_kinds = st.sampled_from([*conversation_module._ANSWERS, "other"])


class TestFuzz:
    @given(st.lists(st.tuples(_kinds, _fields), max_size=8))
    def test_no_event_makes_the_simulator_raise(self, events: list[tuple[str, Event]]) -> None:
        conversation = Conversation("m", lambda: NOW, lambda kind: kind)
        for kind, fields in events:
            payload = json.dumps({**fields, "type": kind}).encode()
            for answer in conversation.receive(payload) + conversation.advance():
                json.dumps(answer, allow_nan=False)

    @given(st.binary())
    def test_no_bytes_make_the_simulator_raise(self, payload: bytes) -> None:
        (event,) = Conversation("m", lambda: NOW, lambda kind: kind).receive(payload)
        assert event["type"] == "error"
