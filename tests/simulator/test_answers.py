"""
Answers: what they say, and how they end.
"""

from __future__ import annotations

from base64 import b64decode

import pytest
from simulator.talk import (
    SECOND,
    Event,
    Talk,
    done,
    encoded,
    heard_audio,
    heard_text,
    in_writing,
    message,
    of,
    types,
)

from relay.simulator.utterances import NOTHING_TO_SAY


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
        talk.say("input_audio_buffer.commit")
        assert heard_audio(talk.answer()) == b"not committed"

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
        events = Talk().answer(metadata={"turn": "1"})
        assert events[0]["response"]["metadata"] == done(events)["metadata"] == {"turn": "1"}

    @pytest.mark.parametrize("where", ["response", "session"])
    def test_audio_is_answered_as_text_if_asked(self, where: str) -> None:
        talk = Talk()
        talk.speak(SECOND)
        fields: Event = {"output_modalities": ["text"]}
        if where == "session":
            talk.say("session.update", session={"type": "realtime", **fields})
        events = talk.answer(**(fields if where == "response" else {}))
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
        talk.say("input_audio_buffer.commit")
        assert heard_audio(talk.answer()) == b"ab"


class TestTextAnswer:
    def test_the_answer_is_the_same_text(self) -> None:
        talk = in_writing()
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
        talk = in_writing()
        talk.say("conversation.item.create", item=message("Hi."))
        item = done(talk.answer())["output"][0]
        (event,) = talk.say("conversation.item.retrieve", item_id=item["id"])
        assert event["item"] == item

    def test_without_any_input_the_answer_says_so(self) -> None:
        assert heard_text(in_writing().answer()) == NOTHING_TO_SAY

    def test_each_item_is_answered_once(self) -> None:
        talk = in_writing()
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
        talk = in_writing()
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
