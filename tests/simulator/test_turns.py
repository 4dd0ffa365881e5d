"""
Turn detection: where speech starts and stops, what that commits, answers and interrupts.
"""

from __future__ import annotations

from array import array
from base64 import b64decode

import pytest
from simulator.talk import (
    Event,
    Talk,
    done,
    heard_audio,
    in_writing,
    of,
    silence,
    tone,
    types,
)

from relay.simulator.audio import FORMATS, encoded
from relay.simulator.hearing import QUIET_MS

TURN = tone(600) + silence(600)


def g711(samples: bytes, name: str) -> bytes:
    pcm = array("h")
    pcm.frombytes(samples)
    return encoded(pcm[::3], FORMATS[name])


def in_pieces(talk: Talk, samples: bytes, size: int = 1_000) -> list[Event]:
    """Append as a microphone does."""
    starts = range(0, len(samples), size)
    return [e for start in starts for e in talk.append(samples[start : start + size])]


class TestServerVad:
    def test_a_turn_is_heard_committed_and_answered(self) -> None:
        talk = Talk()
        events = talk.append(silence(1_000) + TURN)
        assert types(events) == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
        ]
        started, stopped, committed, added = events[:4]
        # 300 ms before the speech, and 500 ms of silence after it.
        assert started["audio_start_ms"] == 700
        assert stopped["audio_end_ms"] == 2_100
        ids = {e["item_id"] for e in (started, stopped, committed)} | {added["item"]["id"]}
        assert len(ids) == 1
        said = heard_audio(talk.listen())
        assert said == silence(300) + tone(600) + silence(500)

    def test_each_turn_has_its_own_item_and_answer(self) -> None:
        talk = Talk()
        first = talk.append(TURN) + talk.listen()
        second = talk.append(TURN) + talk.listen()
        assert done(first)["status"] == done(second)["status"] == "completed"
        (stopped,) = of(second, "input_audio_buffer.speech_stopped")
        assert stopped["item_id"] != of(first, "input_audio_buffer.committed")[0]["item_id"]
        # The times go on through the whole session.
        assert stopped["audio_end_ms"] == 2_300
        assert of(second, "input_audio_buffer.speech_started")[0]["audio_start_ms"] == 1_100

    @pytest.mark.parametrize("size", [7, 959, 960, 5_000])
    def test_how_audio_is_cut_makes_no_difference(self, size: int) -> None:
        turn = silence(40) + tone(100) + silence(100)
        talk = Talk()
        talk.hears(turn_detection={"type": "server_vad", "silence_duration_ms": 60})
        started, stopped = in_pieces(talk, turn, size)[:2]
        assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (0, 200)
        assert heard_audio(talk.listen()) == turn[: 200 * 48]

    @pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
    def test_g711_is_heard_too(self, name: str) -> None:
        talk = Talk()
        talk.update(
            audio={"input": {"format": {"type": name}}, "output": {"format": {"type": name}}}
        )
        samples = g711(silence(1_000) + TURN, name)
        events = talk.append(samples)
        assert of(events, "input_audio_buffer.speech_started")[0]["audio_start_ms"] == 700
        assert of(events, "input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == 2_100
        assert heard_audio(talk.listen()) == samples[5_600:16_800]

    @pytest.mark.parametrize(
        ("settings", "start", "end"),
        [
            ({"prefix_padding_ms": 0}, 1_000, 2_100),
            ({"prefix_padding_ms": 5_000}, 0, 2_100),
            ({"silence_duration_ms": 100}, 700, 1_700),
            ({"threshold": 0.0}, 700, 2_100),
        ],
    )
    def test_the_settings_move_the_ends_of_a_turn(
        self, settings: Event, start: int, end: int
    ) -> None:
        talk = Talk()
        talk.hears(turn_detection={"type": "server_vad", **settings})
        events = talk.append(silence(1_000) + TURN)
        assert of(events, "input_audio_buffer.speech_started")[0]["audio_start_ms"] == start
        assert of(events, "input_audio_buffer.speech_stopped")[0]["audio_end_ms"] == end

    @pytest.mark.parametrize(
        ("threshold", "loudness", "heard"),
        [
            (0.5, 0.03, True),
            (0.5, 0.01, False),
            (0.2, 0.01, True),
            (1.0, 0.1, False),
            (1.0, 0.3, True),
        ],
    )
    def test_the_threshold_is_how_loud_speech_must_be(
        self, threshold: float, loudness: float, heard: bool
    ) -> None:
        talk = Talk()
        talk.hears(turn_detection={"type": "server_vad", "threshold": threshold})
        assert bool(talk.append(tone(200, loudness))) == heard

    def test_a_click_is_no_speech(self) -> None:
        assert Talk().append((tone(40) + silence(100)) * 10) == []

    def test_a_short_pause_ends_no_turn(self) -> None:
        events = Talk().append(tone(200) + silence(480) + tone(200) + silence(500))
        assert len(of(events, "input_audio_buffer.speech_stopped")) == 1

    def test_without_create_response_there_is_no_answer(self) -> None:
        talk = Talk()
        talk.hears(turn_detection={"type": "server_vad", "create_response": False})
        assert types(talk.append(TURN))[-1] == "conversation.item.done"
        assert not talk.conversation.speaking
        assert heard_audio(talk.answer())

    def test_a_commit_within_speech_makes_the_announced_item(self) -> None:
        talk = Talk()
        (started,) = talk.append(tone(200))
        committed = talk.say("input_audio_buffer.commit")[0]
        assert committed["item_id"] == started["item_id"]
        # What is said from then on is another turn.
        again = of(talk.append(TURN), "input_audio_buffer.speech_started")
        assert again[0]["item_id"] != started["item_id"]

    def test_clearing_within_speech_forgets_it(self) -> None:
        talk = Talk()
        talk.append(tone(200))
        talk.say("input_audio_buffer.clear")
        assert talk.append(silence(2_000)) == []

    def test_silence_without_end_is_not_kept(self) -> None:
        talk = Talk()
        for _ in range(3):
            assert talk.append(silence(QUIET_MS)) == []
        talk.say("input_audio_buffer.commit")
        (event,) = talk.say("conversation.item.retrieve", item_id=talk.seen[-1]["item"]["id"])
        assert len(b64decode(event["item"]["content"][0]["audio"])) == QUIET_MS * 48
        # But it counts.
        assert talk.append(tone(100))[0]["audio_start_ms"] == 3 * QUIET_MS


class TestSemanticVad:
    @pytest.mark.parametrize(
        ("settings", "pause"),
        [
            ({"eagerness": "high"}, 500),
            ({"eagerness": "medium"}, 1_000),
            ({"eagerness": "auto"}, 1_000),
            ({}, 1_000),
            ({"eagerness": "low"}, 2_000),
        ],
    )
    def test_eagerness_is_how_long_a_pause_ends_a_turn(self, settings: Event, pause: int) -> None:
        talk = Talk()
        session = talk.hears(turn_detection={"type": "semantic_vad", **settings})
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": settings.get("eagerness", "auto"),
            "create_response": True,
            "interrupt_response": True,
        }
        assert types(talk.append(tone(500) + silence(pause - 20))) == [
            "input_audio_buffer.speech_started"
        ]
        events = talk.append(silence(20))
        assert events[0]["audio_end_ms"] == 500 + pause
        assert heard_audio(talk.listen()) == tone(500) + silence(pause)


class TestNoDetection:
    def test_without_turn_detection_the_client_commits(self) -> None:
        talk = Talk()
        assert talk.hears(turn_detection=None)["audio"]["input"]["turn_detection"] is None
        assert talk.append(TURN) == []
        talk.say("input_audio_buffer.commit")
        assert heard_audio(talk.answer()) == TURN

    def test_an_answer_commits_nothing(self) -> None:
        talk = in_writing()
        talk.hears(turn_detection=None)
        talk.append(TURN)
        talk.type("Hi.")
        assert "input_audio_buffer.committed" not in types(talk.answer())
        talk.say("input_audio_buffer.commit")

    def test_what_came_before_detection_is_not_searched(self) -> None:
        talk = Talk()
        talk.hears(turn_detection=None)
        talk.append(tone(500) + b"x")
        talk.hears(turn_detection={"type": "server_vad"})
        assert talk.append(b"x" + silence(1_000)) == []
        talk.say("input_audio_buffer.commit")
        assert heard_audio(talk.answer()) == tone(500) + b"xx" + silence(1_000)

    def test_another_setting_leaves_speech_alone(self) -> None:
        talk = Talk()
        talk.append(tone(500))
        talk.hears(transcription={"model": "whisper-1"})
        assert types(talk.append(silence(500)))[0] == "input_audio_buffer.speech_stopped"

    def test_another_format_forgets_what_waits(self) -> None:
        talk = Talk()
        talk.append(silence(1_000))
        talk.hears(format={"type": "audio/pcmu"})
        assert talk.refused("input_audio_buffer.commit")
        (started,) = talk.append(g711(tone(100), "audio/pcmu"))
        assert started["audio_start_ms"] == 1_000


class TestInterruption:
    def test_speech_cancels_the_answer(self) -> None:
        talk = Talk()
        talk.append(TURN)
        talk.check(talk.conversation.advance())
        events = talk.append(tone(100))
        assert types(events)[0] == "input_audio_buffer.speech_started"
        assert types(events)[-2:] == ["response.done", "rate_limits.updated"]
        response = done(events)
        assert response["status"] == "cancelled"
        assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert response["output"][0]["status"] == "incomplete"
        assert not talk.conversation.speaking
        # And what is said then is answered.
        assert done(talk.append(TURN) + talk.listen())["status"] == "completed"

    def test_without_interrupt_response_the_answer_goes_on(self) -> None:
        talk = Talk()
        talk.hears(turn_detection={"type": "server_vad", "interrupt_response": False})
        talk.append(TURN)
        assert types(talk.append(tone(600))) == ["input_audio_buffer.speech_started"]
        # The next turn ends while the model is still responding.
        (error,) = of(talk.append(silence(600)), "error")
        assert error["error"]["code"] == "conversation_already_has_active_response"
        assert done(talk.listen())["status"] == "completed"

    def test_speech_leaves_an_answer_out_of_band_alone(self) -> None:
        talk = Talk()
        talk.say("response.create", response={"conversation": "none"})
        assert types(talk.append(tone(100))) == ["input_audio_buffer.speech_started"]
        assert done(talk.listen())["status"] == "completed"


class TestIdle:
    def idle(self, talk: Talk) -> None:
        talk.hears(turn_detection={"type": "server_vad", "idle_timeout_ms": 5_000})
        talk.append(TURN)

    def test_silence_after_an_answer_is_answered(self) -> None:
        talk = Talk()
        self.idle(talk)
        talk.listen()
        # 1.2 s came so far, and the answer lasts 1.1 s.
        assert talk.append(silence(6_080)) == []
        events = talk.append(silence(20))
        assert types(events)[:3] == [
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.committed",
            "conversation.item.added",
        ]
        timeout, committed = events[:2]
        assert (timeout["audio_start_ms"], timeout["audio_end_ms"]) == (2_300, 7_300)
        assert timeout["item_id"] == committed["item_id"]
        assert done(events + talk.listen())["status"] == "completed"

    def test_nothing_is_triggered_before_an_answer_nor_within_one(self) -> None:
        talk = Talk()
        talk.hears(turn_detection={"type": "server_vad", "idle_timeout_ms": 5_000})
        assert talk.append(silence(8_000)) == []
        self.idle(talk)
        assert talk.append(silence(8_000)) == []

    def test_speech_is_not_idle(self) -> None:
        talk = Talk()
        self.idle(talk)
        talk.say("response.cancel")
        assert types(talk.append(tone(8_000))) == ["input_audio_buffer.speech_started"]

    def test_a_cancelled_answer_counts_as_far_as_it_was_said(self) -> None:
        talk = Talk()
        self.idle(talk)
        talk.say("response.cancel")
        assert types(talk.append(silence(5_000)))[0] == "input_audio_buffer.timeout_triggered"

    def test_the_timeout_is_off_by_default(self) -> None:
        talk = Talk()
        talk.append(TURN)
        talk.listen()
        assert talk.append(silence(60_000)) == []


class TestTranscriptionSession:
    def test_turns_are_committed_and_never_answered(self) -> None:
        talk = Talk(model=None)
        events = talk.append(TURN)
        assert "conversation.item.done" in types(events)
        assert not talk.conversation.speaking

    def test_detection_has_no_settings_of_responses(self) -> None:
        talk = Talk(model=None)
        session = {
            "type": "transcription",
            "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": True}}},
        }
        error = talk.refused("session.update", session=session)
        assert error["param"] == "session.audio.input.turn_detection.create_response"
