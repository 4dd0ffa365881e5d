"""
Whatever clients send, nothing makes the simulator raise, and all its events are as the service's.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator.talk import MODELS, NOW, Event, Talk, check, encoded, silence, tone, unknown

from relay.simulator.conversation import Conversation

Values = st.SearchStrategy[Any]

_odd: Values = st.sampled_from(
    [None, True, -1, 0, 2**70, 0.5, "", "x", "root", "YWI=", [], [{}], {}, {"type": "x"}]
)


def some(**fields: Values) -> Values:
    """Objects of some of these fields, each mostly right."""
    return st.fixed_dictionaries({}, optional={name: each | _odd for name, each in fields.items()})


def one(*values: Any) -> Values:
    return st.sampled_from(values)


_content = some(
    type=one("input_text", "input_audio", "input_image", "output_text", "output_audio"),
    text=one("a", "f"),
    audio=one("YWI="),
    transcript=one("a"),
    image_url=one("data:,"),
    detail=one("auto", "low", "high"),
)
_item = some(
    type=one("message", "function_call", "function_call_output", "item_reference"),
    id=one("a", "b"),
    object=one("realtime.item"),
    status=one("completed", "incomplete"),
    role=one("user", "assistant", "system"),
    content=st.lists(_content, max_size=2),
    call_id=one("c"),
    name=one("f"),
    arguments=one("{}"),
    output=one("1"),
)
_tool = some(
    type=one("function", "mcp"),
    name=one("f"),
    description=one("d"),
    parameters=one({"type": "object", "properties": {"x": {"type": "string"}}}),
)
_format = one({"type": "audio/pcm"}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}, {"rate": 1})
_detection = some(
    type=one("server_vad", "semantic_vad"),
    threshold=st.floats(-0.5, 1.5),
    prefix_padding_ms=st.integers(-1, 500),
    silence_duration_ms=st.integers(-1, 500),
    idle_timeout_ms=st.integers(4_000, 6_000),
    create_response=st.booleans(),
    interrupt_response=st.booleans(),
    eagerness=one("low", "medium", "high", "auto"),
)
_input = some(
    format=_format,
    noise_reduction=some(type=one("near_field", "far_field"), strength=st.floats(-1, 2)),
    transcription=some(
        model=one("whisper-1", "gpt-4o-transcribe"),
        language=one("en"),
        languages=one(["en"]),
        prompt=one("p"),
        keywords=one(["k"]),
        delay=one("low"),
    ),
    turn_detection=_detection,
)
_answering: dict[str, Values] = {
    "output_modalities": one(["text"], ["audio"], ["text", "audio"]),
    "instructions": one("Say x."),
    "max_output_tokens": one("inf") | st.integers(0, 5_000),
    "tools": st.lists(_tool, max_size=2),
    "tool_choice": one("auto", "none", "required", {"type": "function", "name": "f"}),
    "parallel_tool_calls": st.booleans(),
    "prompt": some(id=one("p"), version=one("1"), variables=one({"a": "b"})),
    "reasoning": some(effort=one("low", "high")),
}
_output: dict[str, Values] = {"format": _format, "voice": one("marin", {"id": "v"})}
_session = some(
    type=one("realtime", "transcription"),
    model=one("m"),
    include=one(["item.input_audio_transcription.logprobs"]),
    tracing=one("auto") | some(group_id=one("g"), workflow_name=one("w"), metadata=one({"a": 1})),
    truncation=one("auto", "disabled", {"type": "retention_ratio", "retention_ratio": 0.5}),
    audio=some(input=_input, output=some(**_output, speed=st.floats(0, 2))),
    **_answering,
)
_response = some(
    **_answering,
    audio=some(output=some(**_output)),
    conversation=one("auto", "none"),
    input=st.lists(_item, max_size=2),
    metadata=one({"a": "b"}),
)
_frames = one(*map(encoded, (tone(100), silence(100), tone(60) + silence(600), b"a")))
_events: Values = st.one_of(
    some(type=one("session.update"), session=_session),
    some(type=one("input_audio_buffer.append"), audio=_frames),
    some(type=one("conversation.item.create"), item=_item, previous_item_id=one("a", "root")),
    some(
        type=one("conversation.item.truncate"),
        item_id=one("a", "b"),
        content_index=one(0),
        audio_end_ms=one(0, 1),
    ),
    some(type=one("response.create"), response=_response),
    some(
        type=one(
            "input_audio_buffer.commit",
            "input_audio_buffer.clear",
            "conversation.item.retrieve",
            "conversation.item.delete",
            "response.cancel",
            "other",
        ),
        item_id=one("a", "b"),
        event_id=one("mine"),
    ),
)


@settings(deadline=None)
@given(one("m", None), st.lists(_events, max_size=10))
def test_whatever_clients_send_answers_are_valid(model: str | None, events: list[Event]) -> None:
    talk = Talk(model)
    talk.open()
    for event in events:
        talk.check(talk.conversation.receive(json.dumps(event).encode()))
        talk.check(talk.conversation.advance())


@given(st.binary() | st.text().map(lambda text: json.dumps({"type": text}).encode()))
def test_no_bytes_make_the_simulator_raise(payload: bytes) -> None:
    (event,) = Conversation("m", lambda: NOW, lambda kind: kind).receive(payload)
    assert event["type"] == "error"


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "input_audio_buffer.cleared", "event_id": "e", "object": "x"},
        {"type": "input_audio_buffer.cleared", "event_id": 1},
        {"type": "input_audio_buffer.committed", "event_id": "e"},
        {"type": "conversation.item.deleted", "event_id": "e", "item_id": None},
    ],
)
def test_the_check_itself_finds_what_is_wrong(wrong: Event) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(wrong)


def test_the_check_looks_into_what_is_nested() -> None:
    output = {"format": {"type": "audio/pcm"}, "voice": "marin", "speed": 1.0}
    event = {
        "type": "response.created",
        "event_id": "e",
        "response": {"audio": {"output": output}},
    }
    valid = MODELS["response.created"].model_validate(event, strict=True)
    assert list(unknown(valid)) == ["AudioOutput.speed"]
