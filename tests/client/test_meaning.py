"""What the end of a session means, and how long to wait."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.client.meaning import Times, Told, delay, kind_of, told_by

UPGRADE = "WebSocket connection upgrade failed [{}]: why"


def relays(code: str, retryable: bool, **more: Any) -> dict[str, Any]:
    said = {"type": "relay_error", "code": code, "message": "Why.", "retryable": retryable}
    return {"type": "error", "error": {**said, **more}}


@pytest.mark.parametrize(
    ("error", "code", "reason", "opened", "kind", "code_told", "retryable"),
    [
        (relays("unauthorized", False), 4401, "", False, "refused", "unauthorized", False),
        (relays("relay_full", True), 1013, "", False, "refused", "relay_full", True),
        (relays("draining", True), 1012, "", True, "lost", "draining", True),
        (relays("expired", False), 1008, "", True, "lost", "expired", False),
        ({"type": "error", "error": {"type": "quota"}}, 1008, "", False, "refused", "quota", False),
        (None, 1006, UPGRADE.format(401), False, "refused", "status_401", False),
        (None, 1006, UPGRADE.format(503), False, "refused", "status_503", True),
        (None, 4403, "", False, "refused", "close_4403", False),
        (None, 1006, "lost", False, "lost", "close_1006", True),
        (None, None, "", True, "lost", "close_1006", True),
        (None, 1011, "", True, "lost", "close_1011", True),
        (None, 1000, "", True, "closed", "close_1000", False),
    ],
)
def test_an_end_says_what_it_means(
    error: Any,
    code: int | None,
    reason: str,
    opened: bool,
    kind: str,
    code_told: str,
    retryable: bool,
) -> None:
    assert kind_of(error, code, reason, opened) == kind
    told = told_by(error, code, reason)
    assert (told.code, told.retryable) == (code_told, retryable)


def test_the_relays_hints_are_told() -> None:
    error = relays("rate_limited", True, retry_after=7, request_id="req_1")
    assert told_by(error, 1013, "") == Told("rate_limited", "Why.", True, 7, "req_1")


def test_waits_double_up_to_the_most_behind_what_was_asked_for() -> None:
    waits = [delay(n, None, Times(), lambda: 1.0) for n in (0, 1, 2, 9, 10**6)]
    assert waits == [0.5, 1, 2, 30, 30]
    assert delay(3, 5, Times(), lambda: 0.0) == 5


@given(st.integers(0, 100), st.none() | st.floats(0, 100), st.floats(0, 1))
def test_no_wait_is_shorter_than_asked_or_longer_than_the_most(
    attempt: int, asked: float | None, chance: float
) -> None:
    wait = delay(attempt, asked, Times(), lambda: chance)
    assert (asked or 0) <= wait <= (asked or 0) + 30


_ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.none() | st.dictionaries(st.sampled_from(["type", "error"]), _ANY), st.text())
def test_nothing_that_is_said_raises(error: Any, reason: str) -> None:
    told = told_by(error, 1008, reason)
    assert isinstance(told.code, str)
    assert kind_of(error, 1008, reason, False) in ("refused", "lost")
