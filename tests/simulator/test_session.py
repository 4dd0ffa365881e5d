"""
A session, and what a client may change of it.
"""

from __future__ import annotations

import pytest
from simulator.talk import NOW, Event, Talk


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


SETTINGS: list[Event] = [
    {"instructions": "Be kind."},
    {"output_modalities": ["text"]},
    {"max_output_tokens": 7},
    {"tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"x": 1}}]},
    {"tool_choice": {"type": "function", "name": "f"}},
    {"tracing": "auto"},
    {"tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}}},
    {"truncation": "disabled"},
    {
        "truncation": {
            "type": "retention_ratio",
            "retention_ratio": 0.5,
            "token_limits": {"post_instructions": 9},
        }
    },
    {"prompt": {"id": "p", "version": "1", "variables": {"a": "b"}}},
    {"reasoning": {"effort": "low"}},
    {"include": ["item.input_audio_transcription.logprobs"]},
]


class TestSettings:
    @pytest.mark.parametrize("changes", SETTINGS)
    def test_a_setting_is_shown_as_it_is_set(self, changes: Event) -> None:
        session = Talk().update(**changes)
        assert {name: session[name] for name in changes} == changes

    @pytest.mark.parametrize(
        ("side", "changes"),
        [
            ("input", {"format": {"type": "audio/pcma"}}),
            ("input", {"noise_reduction": {"type": "far_field", "strength": 0.5}}),
            ("input", {"transcription": {"model": "m", "language": "en", "prompt": "p"}}),
            ("output", {"format": {"type": "audio/pcmu"}}),
            ("output", {"voice": "cedar"}),
            ("output", {"speed": 1.5}),
        ],
    )
    def test_so_is_one_of_audio(self, side: str, changes: Event) -> None:
        session = Talk().update(audio={side: changes})
        assert {name: session["audio"][side][name] for name in changes} == changes

    def test_what_is_left_out_of_an_object_has_its_default(self) -> None:
        talk = Talk()
        talk.hears(format={"type": "audio/pcmu"})
        session = talk.hears(format={"type": "audio/pcm"}, turn_detection={"type": "server_vad"})
        hearing = session["audio"]["input"]
        assert hearing["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert (
            hearing["turn_detection"]
            == Talk().open()["session"]["audio"]["input"]["turn_detection"]
        )

    def test_the_service_takes_parallel_tool_calls_and_does_not_show_it(self) -> None:
        assert "parallel_tool_calls" not in Talk().update(parallel_tool_calls=True)

    @pytest.mark.parametrize(
        ("changes", "code", "param"),
        [
            ({"temperature": 0.8}, "unknown_parameter", "temperature"),
            ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
            ({"tracing": "always"}, "invalid_value", "tracing"),
            ({"include": ["all"]}, "invalid_value", "include[0]"),
            ({"prompt": {}}, "missing_required_parameter", "prompt.id"),
            ({"truncation": {"type": "x"}}, "invalid_value", "truncation.type"),
        ],
    )
    def test_what_has_no_effect_is_refused(self, changes: Event, code: str, param: str) -> None:
        error = Talk().refused("session.update", session={"type": "realtime", **changes})
        assert (error["code"], error["param"]) == (code, f"session.{param}")

    @pytest.mark.parametrize(
        ("side", "changes", "code", "param"),
        [
            ("input", {"format": {"type": "audio/pcm", "rate": 8_000}}, "value", "format.rate"),
            ("input", {"format": {"type": "audio/pcmu", "rate": 8_000}}, "unknown", "format.rate"),
            ("input", {"turn_detection": {}}, "missing", "turn_detection.type"),
            ("input", {"turn_detection": {"type": "x"}}, "value", "turn_detection.type"),
            (
                "input",
                {"turn_detection": {"type": "server_vad", "threshold": 2}},
                "value",
                "turn_detection.threshold",
            ),
            (
                "input",
                {"turn_detection": {"type": "server_vad", "silence_duration_ms": 0.5}},
                "type",
                "turn_detection.silence_duration_ms",
            ),
            (
                "input",
                {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 4_999}},
                "value",
                "turn_detection.idle_timeout_ms",
            ),
            (
                "input",
                {"turn_detection": {"type": "server_vad", "create_response": 1}},
                "type",
                "turn_detection.create_response",
            ),
            (
                "input",
                {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}},
                "unknown",
                "turn_detection.threshold",
            ),
            ("input", {"transcription": {"model": 1}}, "type", "transcription.model"),
            ("input", {"noise_reduction": {"type": "x"}}, "value", "noise_reduction.type"),
            ("output", {"speed": 0.2}, "value", "speed"),
            ("output", {"speed": "fast"}, "type", "speed"),
            ("output", {"voice": 1}, "type", "voice"),
        ],
    )
    def test_so_is_what_is_wrong_within_audio(
        self, side: str, changes: Event, code: str, param: str
    ) -> None:
        session = {"type": "realtime", "audio": {side: changes}}
        error = Talk().refused("session.update", session=session)
        codes = {
            "value": "invalid_value",
            "type": "invalid_type",
            "unknown": "unknown_parameter",
            "missing": "missing_required_parameter",
        }
        assert (error["code"], error["param"]) == (codes[code], f"session.audio.{side}.{param}")
