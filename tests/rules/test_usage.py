"""What is read of upstream's bills."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.usage import (
    MOST,
    NOTHING,
    TRANSCRIBED,
    Usage,
    seconds_of,
    session_seconds_of,
    status_of,
    tokens_of,
    usage_in,
)

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
        {"type": "session.usage.updated", "usage": USAGE},
    ],
)
def test_an_event_without_token_counts_gives_none(event: dict[str, object]) -> None:
    assert tokens_of(event) == {}


DURATION = {"seconds": 2.5, "type": "duration"}


def test_a_transcription_may_be_billed_by_seconds() -> None:
    event = {"type": TRANSCRIBED, "usage": DURATION}
    assert seconds_of(event) == {"transcription": 2.5}
    assert tokens_of(event) == {}


def test_so_may_a_response() -> None:
    event = {"type": "response.done", "response": {"usage": DURATION}}
    assert seconds_of(event) == {"response": 2.5}


@pytest.mark.parametrize("kind", ["session.usage.updated", "session.closed"])
def test_a_live_session_tells_its_seconds_so_far(kind: str) -> None:
    usage = {"seconds": 12, "active_seconds": 9, "paused_seconds": 0}
    event = {"type": kind, "usage": usage}
    assert session_seconds_of(event) == {"session": 12.0, "session_active": 9.0}
    assert seconds_of(event) == {}


@pytest.mark.parametrize(
    "seconds", [0, -1, True, "3", None, float("nan"), float("inf"), 10**400, [3]]
)
def test_what_is_no_number_of_seconds_is_none(seconds: object) -> None:
    usage = {"type": "duration", "seconds": seconds}
    assert seconds_of({"type": TRANSCRIBED, "usage": usage}) == {}
    assert session_seconds_of({"type": "session.closed", "usage": usage}) == {}


@pytest.mark.parametrize(
    "event",
    [
        {"type": TRANSCRIBED, "usage": {"type": "tokens", "seconds": 3}},
        {"type": TRANSCRIBED, "usage": {"seconds": 3}},
        {"type": "response.done", "usage": DURATION},
        {"type": "error", "usage": DURATION},
        {"type": ["error"], "usage": DURATION},
        {"usage": DURATION},
    ],
)
def test_seconds_are_read_where_they_are_the_bill(event: dict[str, object]) -> None:
    assert seconds_of(event) == {}
    assert session_seconds_of(event) == {}


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed", "incomplete"])
def test_a_response_ends_by_its_status(status: str) -> None:
    assert status_of({"response": {"status": status}}) == status


@pytest.mark.parametrize("response", [None, {}, {"status": "made up"}, {"status": ["failed"]}])
def test_a_status_that_is_not_known_is_another(response: object) -> None:
    assert status_of({"response": response}) == "other"


JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.just("duration"),
    lambda inner: st.dictionaries(
        st.sampled_from(["usage", "response", "type", "seconds", *USAGE]), inner
    ),
)


@given(JSON)
def test_any_usage_is_read_without_an_error(value: object) -> None:
    for kind in ("response.done", TRANSCRIBED):
        assert all(
            type(count) is int and count > 0
            for count in tokens_of({"type": kind, "response": value, "usage": value}).values()
        )
        event = {"type": kind, "response": value, "usage": value}
        assert all(seconds > 0 for seconds in seconds_of(event).values())
    session_seconds_of({"type": "session.closed", "usage": value})
    status_of({"response": value})


# -- sums ----------------------------------------------------------------------------------


def test_a_sum_has_each_token_and_each_second_once() -> None:
    tokens = {**KINDS, **{f"transcription_{kind}": count for kind, count in KINDS.items()}}
    seconds = {
        "session": 12.0,
        "session_active": 9.0,
        "session_paused": 3.0,
        "response": 1.5,
        "transcription": 2.0,
    }
    assert usage_in(tokens, seconds) == Usage(2 * USAGE["total_tokens"], 15.5)  # type: ignore[operator]
    assert usage_in({}, {}) == NOTHING


@given(
    st.dictionaries(st.sampled_from([*KINDS, "transcription_input"]), st.integers(0, 10**400)),
    st.dictionaries(st.sampled_from(["session", "response"]), st.floats(0, allow_infinity=True)),
)
def test_a_sum_stays_a_number_that_can_be_counted_with(
    tokens: dict[str, int], seconds: dict[str, float]
) -> None:
    usage = usage_in(tokens, seconds)
    assert 0 <= usage.tokens <= MOST
    assert 0 <= usage.seconds <= MOST
