"""What is read of upstream's bills."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.usage import tokens_of

USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}

KINDS = {
    "input": 132,
    "input_text": 119,
    "input_audio": 13,
    "input_cached": 64,
    "output": 121,
    "output_text": 30,
    "output_audio": 91,
}

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


def test_a_response_is_billed_by_kind() -> None:
    assert tokens_of({"type": "response.done", "response": {"usage": USAGE}}) == KINDS


def test_a_transcription_is_another_models() -> None:
    expected = {f"transcription_{kind}": count for kind, count in KINDS.items()}
    assert tokens_of({"type": TRANSCRIBED, "usage": USAGE}) == expected


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "error": {}},
        {"type": "response.done", "response": {"usage": None}},
        {"type": "response.done", "usage": USAGE},
        {"type": TRANSCRIBED, "usage": {"type": "duration", "seconds": 3}},
        {"type": TRANSCRIBED, "usage": {"input_tokens": 0, "output_tokens": -1}},
        {"type": TRANSCRIBED, "usage": {"input_tokens": True, "output_tokens": "7"}},
    ],
)
def test_an_event_without_token_counts_gives_none(event: dict[str, object]) -> None:
    assert tokens_of(event) == {}


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["usage", "response", *USAGE]), inner),
)


@given(JSON)
def test_any_usage_is_read_without_an_error(value: object) -> None:
    for kind in ("response.done", TRANSCRIBED):
        assert all(
            type(count) is int and count > 0
            for count in tokens_of({"type": kind, "response": value, "usage": value}).values()
        )
