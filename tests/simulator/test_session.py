"""
A session, and what a client may change of it.
"""

from __future__ import annotations

import pytest
from simulator.talk import NOW, Talk


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
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        }

    def test_without_a_model_a_transcription_session_opens(self) -> None:
        session = Talk(model=None).open()["session"]
        assert session["type"] == "transcription"
        assert "model" not in session
        assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
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
