"""
Items: made, found, changed and forgotten.
"""

from __future__ import annotations

from base64 import b64decode

import pytest
from simulator.talk import (
    SECOND,
    Event,
    Talk,
    done,
    heard_audio,
    heard_text,
    in_writing,
    message,
    types,
)

from relay.simulator import items as items_module
from relay.simulator.utterances import NOTHING_TO_SAY


class TestItems:
    def test_a_created_item_is_added_and_done(self) -> None:
        events = Talk().say("conversation.item.create", item=message("Hi."))
        assert types(events) == ["conversation.item.added", "conversation.item.done"]
        item = events[0]["item"]
        assert item["status"] == "completed"
        assert "object" not in item
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

    def test_an_items_object_and_status_are_not_the_clients(self) -> None:
        item = message("Hi.", object="realtime.item", status="in_progress")
        added, _ = Talk().say("conversation.item.create", item=item)
        assert "object" not in added["item"]
        assert added["item"]["status"] == "completed"

    def test_an_item_is_inserted_where_it_asks_for(self) -> None:
        talk = in_writing()
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
            ({"item": message("x", smell="sweet")}, "unknown_parameter", "item.smell"),
            (
                {"item": message("x", content=[{"type": "input_text", "text": "", "x": 1}])},
                "unknown_parameter",
                "item.content[0].x",
            ),
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
        talk = in_writing()
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
        talk = in_writing()
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
