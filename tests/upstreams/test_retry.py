"""When the same upstream is tried again, and how often at most."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.refusals import KINDS, RefusalCode, UpstreamFacts, refuse
from relay.upstreams.retry import LEAST, SHARE, WINDOW, RetryBudget, delay_of


def delay(code: RefusalCode, stage: Any = "upgrade", status: int | None = None, **more: Any) -> Any:
    return delay_of(refuse(code, upstream=UpstreamFacts("openai", stage, status), **more))


@pytest.mark.parametrize("stage", ["upgrade", "first_event"])
def test_a_connection_dropped_without_an_answer_is_tried_again_at_once(stage: str) -> None:
    assert delay("upstream_connect_failed", stage) == 0


@pytest.mark.parametrize("stage", ["dns", "proxy", "tcp", "tls"])
def test_a_connection_that_never_came_about_is_not_retried(stage: str) -> None:
    assert delay("upstream_connect_failed", stage) is None


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_failing_gateway_is_retried_at_once(status: int) -> None:
    assert delay("upstream_refused", status=status, retryable=True) == 0


@pytest.mark.parametrize("status", [None, 200, 302, 400, 404, 408, 500, 501])
def test_no_other_answer_is_retried(status: int | None) -> None:
    assert delay("upstream_refused", status=status, retryable=status in (408, 500)) is None


def test_a_gateway_with_a_final_refusal_is_not_retried() -> None:
    assert delay("upstream_quota_exhausted", status=503) is None


@pytest.mark.parametrize(
    ("code", "status"), [("upstream_rate_limited", 429), ("upstream_refused", 503)]
)
def test_a_retry_after_of_one_second_is_obeyed_and_a_longer_one_is_final(
    code: RefusalCode, status: int
) -> None:
    assert delay(code, status=status, retryable=True, retry_after=1) == 1
    assert delay(code, status=status, retryable=True, retry_after=2) is None


@pytest.mark.parametrize("code", KINDS)
def test_no_other_refusal_is_retried(code: RefusalCode) -> None:
    assert delay_of(refuse(code)) is None, "no upstream was reached"
    if code.startswith("upstream_") and code != "upstream_connect_failed":
        assert delay(code) is None


def test_few_holds_have_a_budget_of_three_retries() -> None:
    budget = RetryBudget()
    assert [budget.take(0) for _ in range(LEAST + 1)] == [True] * LEAST + [False]


def test_many_holds_have_a_budget_of_a_tenth() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.hold(5)
    assert sum(budget.take(5) for _ in range(1000)) == 100


def test_a_used_budget_comes_back_after_the_window() -> None:
    budget = RetryBudget(least=1)
    assert budget.take(0.9)
    assert not budget.take(WINDOW - 0.1)
    assert budget.take(WINDOW)


def test_old_holds_give_no_right_to_a_retry() -> None:
    budget = RetryBudget(least=0)
    for _ in range(10):
        budget.hold(0)
    assert not budget.take(WINDOW)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 50), st.integers(0, 20))))
def test_no_window_has_more_retries_than_the_budget(steps: list[tuple[float, int, int]]) -> None:
    budget, now = RetryBudget(), 0.0
    holds: list[int] = []
    retries: list[int] = []
    for pause, coming, wanting in steps:
        now += pause
        holds += [int(now)] * coming
        for _ in range(coming):
            budget.hold(now)
        retries += [int(now)] * sum(budget.take(now) for _ in range(wanting))
        since = int(now) - WINDOW
        counted = [sum(second > since for second in kind) for kind in (retries, holds)]
        # Holds may have left the window that gave right to retries still in it.
        assert counted[0] <= max(LEAST, SHARE * len(holds))
    assert len(budget._seconds) <= WINDOW
