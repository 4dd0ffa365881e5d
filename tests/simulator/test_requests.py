"""
What one answer asks for, beside the session's settings: input, instructions, voice, and so on.
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
    silence,
    tone,
    transcript,
    types,
)

from relay.simulator.audio import FORMATS, converted
from relay.simulator.responses import MAX_ACTIVE
from relay.simulator.utterances import NOTHING_TO_SAY
from relay.simulator.voice import CHARACTER_MS, spoken

PCM = FORMATS["audio/pcm"]
MU_LAW = FORMATS["audio/pcmu"]


class TestInstructions:
    def test_instructions_of_its_own_are_said(self) -> None:
        assert heard_text(in_writing().answer(instructions="Greet us.")) == "Greet us."

    def test_they_are_said_instead_of_text(self) -> None:
        talk = in_writing()
        talk.type("Hi.")
        assert heard_text(talk.answer(instructions="Greet us.")) == "Greet us."
        # The text has been answered.
        assert heard_text(talk.answer()) == NOTHING_TO_SAY

    def test_audio_comes_before_them(self) -> None:
        talk = Talk()
        talk.speak(SECOND)
        assert heard_audio(talk.answer(instructions="Greet us.")) == SECOND

    def test_the_sessions_are_not_said_but_counted(self) -> None:
        talk = in_writing()
        talk.update(instructions="12345678")
        talk.type("Hi.")
        events = talk.answer()
        assert heard_text(events) == "Hi."
        assert done(events)["usage"]["input_token_details"]["text_tokens"] == 3
        # Those of the answer stand in their place.
        usage = done(talk.answer(instructions="1234"))["usage"]
        assert usage["input_token_details"]["text_tokens"] == 1


class TestInput:
    def test_input_of_its_own_is_answered_instead(self) -> None:
        talk = in_writing()
        talk.type("conversation")
        events = talk.answer(input=[message("one"), message("two")])
        assert heard_text(events) == "two"
        # The conversation's is still to be answered.
        assert heard_text(talk.answer()) == "conversation"

    def test_input_may_refer_to_items(self) -> None:
        talk = Talk()
        first = talk.speak(tone(200))
        talk.answer()
        talk.type("other")
        reference = {"type": "item_reference", "id": first}
        assert heard_audio(talk.answer(input=[reference])) == tone(200)

    def test_input_may_be_audio(self) -> None:
        content = [{"type": "input_audio", "audio": encoded(SECOND)}]
        given = {"type": "message", "role": "user", "content": content}
        assert heard_audio(Talk().answer(input=[given])) == SECOND

    def test_empty_input_is_nothing_to_answer(self) -> None:
        talk = in_writing()
        talk.type("conversation")
        assert heard_text(talk.answer(input=[])) == NOTHING_TO_SAY

    @pytest.mark.parametrize(
        ("given", "code", "param"),
        [
            ("x", "invalid_type", "response.input"),
            (["x"], "invalid_type", "response.input[0]"),
            ([message("x"), {}], "missing_required_parameter", "response.input[1].type"),
            ([message("x", "boss")], "invalid_value", "response.input[0].role"),
            (
                [{"type": "item_reference"}],
                "missing_required_parameter",
                "response.input[0].id",
            ),
            (
                [{"type": "item_reference", "id": "gone"}],
                "item_reference_invalid_id",
                "response.input[0].id",
            ),
        ],
    )
    def test_wrong_input_is_refused(self, given: object, code: str, param: str) -> None:
        error = Talk().refused("response.create", response={"input": given})
        assert (error["code"], error["param"]) == (code, param)


class TestOutOfBand:
    def test_its_answer_is_no_item_of_the_conversation(self) -> None:
        talk = in_writing()
        user = talk.type("Hi.")
        events = talk.answer(conversation="none", metadata={"topic": "aside"})
        assert heard_text(events) == "Hi."
        assert not {kind for kind in types(events) if kind.startswith("conversation.item")}
        response = done(events)
        assert response["conversation_id"] is None
        assert response["metadata"] == {"topic": "aside"}
        talk.refused("conversation.item.retrieve", item_id=response["output"][0]["id"])
        # Nor is anything answered in the conversation.
        again = talk.answer()
        assert heard_text(again) == "Hi."
        assert of(again, "conversation.item.added")[0]["previous_item_id"] == user
        assert done(again)["conversation_id"] is not None

    def test_answers_may_be_said_at_the_same_time(self) -> None:
        talk = in_writing()
        talk.type("x" * 100)
        first = talk.say("response.create")[0]["response"]["id"]
        ids = [
            talk.say("response.create", response={"conversation": "none", "input": [message("y")]})
            for _ in range(2)
        ]
        error = talk.refused("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        events = talk.listen()
        finished = [e["response"]["id"] for e in of(events, "response.done")]
        assert sorted(finished) == sorted([first, *(each[0]["response"]["id"] for each in ids)])

    def test_there_are_not_too_many_at_the_same_time(self) -> None:
        talk = in_writing()
        for _ in range(MAX_ACTIVE):
            talk.say("response.create", response={"conversation": "none"})
        error = talk.refused("response.create", response={"conversation": "none"})
        assert error["code"] == "rate_limit_exceeded"
        assert len(of(talk.listen(), "response.done")) == MAX_ACTIVE

    def test_a_cancel_without_an_id_means_the_conversations(self) -> None:
        talk = in_writing()
        aside = talk.say("response.create", response={"conversation": "none"})[0]["response"]["id"]
        assert talk.refused("response.cancel")["code"] == "response_cancel_not_active"
        current = talk.say("response.create")[0]["response"]["id"]
        assert done(talk.say("response.cancel"))["id"] == current
        assert done(talk.say("response.cancel", response_id=aside))["id"] == aside
        assert not talk.conversation.speaking


class TestVoice:
    def test_text_is_spoken_where_answers_are(self) -> None:
        talk = Talk()
        text = "Hello, parrot! How are you?"
        talk.type(text)
        events = talk.answer()
        assert heard_audio(events) == spoken(text, PCM, "marin")
        assert transcript(events) == text
        response = done(events)
        assert response["output_modalities"] == ["audio"]
        assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": text}]
        seconds = len(text) * CHARACTER_MS / 1_000
        assert response["usage"]["output_token_details"]["audio_tokens"] == -(-seconds * 20 // 1)
        # The words come as they are spoken, not all at once.
        assert len(of(events, "response.output_audio_transcript.delta")) > 1

    def test_without_any_input_the_answer_says_so_aloud(self) -> None:
        events = Talk().answer()
        assert transcript(events) == NOTHING_TO_SAY
        assert heard_audio(events) == spoken(NOTHING_TO_SAY, PCM, "marin")

    def test_a_spoken_answer_can_be_cancelled_and_truncated(self) -> None:
        talk = Talk()
        talk.type("x" * 100)
        talk.say("response.create")
        talk.check(talk.conversation.advance())
        (item,) = done(talk.say("response.cancel"))["output"]
        # 256 ms of it were said: that is four letters.
        assert item["content"][0]["transcript"] == "xxxx"
        talk.say("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=9)
        (event,) = talk.say("conversation.item.retrieve", item_id=item["id"])
        assert len(b64decode(event["item"]["content"][0]["audio"])) == PCM.size(9)

    @pytest.mark.parametrize("where", ["session", "response"])
    def test_the_voice_decides_the_pitch(self, where: str) -> None:
        talk = Talk()
        if where == "session":
            talk.says(voice="cedar")
        talk.type("Hi.")
        asked: Event = {"audio": {"output": {"voice": "cedar"}}} if where == "response" else {}
        events = talk.answer(**asked)
        assert heard_audio(events) == spoken("Hi.", PCM, "cedar")
        assert events[0]["response"]["audio"]["output"]["voice"] == "cedar"

    def test_a_voice_of_ones_own_is_shown_by_its_id(self) -> None:
        session = Talk().says(voice={"id": "voice_1"})
        assert session["audio"]["output"]["voice"] == "voice_1"

    @pytest.mark.parametrize("where", ["session", "response"])
    def test_the_output_format_is_that_of_the_answer(self, where: str) -> None:
        talk = Talk()
        form: Event = {"format": {"type": "audio/pcmu"}}
        if where == "session":
            talk.says(**form)
        talk.speak(tone(500))
        asked: Event = {"audio": {"output": form}} if where == "response" else {}
        events = talk.answer(**asked)
        assert heard_audio(events) == converted(tone(500), PCM, MU_LAW)
        assert events[0]["response"]["audio"]["output"]["format"] == form["format"]
        # And truncation counts in it.
        (item,) = done(events)["output"]
        fields = {"item_id": item["id"], "content_index": 0, "audio_end_ms": 500}
        assert talk.say("conversation.item.truncate", **fields)[0]["type"] != "error"

    def test_audio_of_two_formats_is_answered_in_one(self) -> None:
        talk = Talk()
        talk.speak(tone(200))
        talk.hears(format={"type": "audio/pcmu"})
        talk.speak(converted(tone(200), PCM, MU_LAW))
        events = talk.answer()
        assert len(heard_audio(events)) == PCM.size(400)
        assert done(events)["usage"]["input_token_details"]["audio_tokens"] == 4

    @pytest.mark.parametrize(("speed", "milliseconds"), [(0.25, 4_000), (0.5, 2_000), (1.25, 800)])
    def test_speed_makes_an_answer_longer_or_shorter(self, speed: float, milliseconds: int) -> None:
        talk = Talk()
        talk.says(speed=speed)
        talk.speak(silence(1_000))
        said = PCM.milliseconds(len(heard_audio(talk.answer())))
        assert said == pytest.approx(milliseconds, abs=20)


class TestMaxOutputTokens:
    @pytest.mark.parametrize("most", [1, 5, 20])
    @pytest.mark.parametrize("where", ["session", "response"])
    def test_an_answer_ends_where_its_tokens_do(self, where: str, most: int) -> None:
        talk = in_writing()
        asked = {"max_output_tokens": most}
        if where == "session":
            talk.update(**asked)
        talk.type("1234" * 100)
        events = talk.answer(**(asked if where == "response" else {}))
        assert heard_text(events) == "1234" * most
        response = done(events)
        assert response["max_output_tokens"] == most
        assert response["usage"]["output_tokens"] == most
        assert response["status"] == "incomplete"
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert response["output"][0]["status"] == "incomplete"

    @pytest.mark.parametrize("most", [1, 2, 3, 10, 20])
    @pytest.mark.parametrize("speaks", [True, False])
    def test_so_does_a_spoken_one(self, most: int, speaks: bool) -> None:
        talk = Talk()
        talk.update(max_output_tokens=most)
        if speaks:
            talk.speak(silence(5_000))
        else:
            talk.type("123" * 101)
        events = talk.answer()
        response = done(events)
        assert response["usage"]["output_tokens"] <= most
        assert response["status"] == "incomplete"
        assert len(heard_audio(events)) % 2 == 0

    def test_enough_tokens_make_it_complete(self) -> None:
        talk = in_writing()
        talk.type("1234" * 20)
        assert done(talk.answer(max_output_tokens=20))["status"] == "completed"


@pytest.mark.parametrize(
    ("response", "code", "param"),
    [
        ({"conversation": "conv_1"}, "invalid_value", "conversation"),
        ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "metadata"),
        ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"max_output_tokens": 4097}, "invalid_value", "max_output_tokens"),
        ({"max_output_tokens": "many"}, "invalid_value", "max_output_tokens"),
        ({"instructions": 1}, "invalid_type", "instructions"),
        ({"voice": "marin"}, "unknown_parameter", "voice"),
        ({"audio": {"input": {}}}, "unknown_parameter", "audio.input"),
        ({"audio": {"output": {"speed": 1}}}, "unknown_parameter", "audio.output.speed"),
    ],
)
def test_a_wrong_request_is_refused(response: Event, code: str, param: str) -> None:
    error = Talk().refused("response.create", response=response)
    assert (error["code"], error["param"]) == (code, f"response.{param}")
