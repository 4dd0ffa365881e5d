"""The breaker: what opens it, for how long, and who may try."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import floats, sampled_from

from relay.rules.refusals import KINDS, Refusal, RefusalCode, UpstreamFacts, refuse
from relay.upstreams.breaker import FAILURES, INTERVAL, Breaker, judged


def failure(code: RefusalCode = "upstream_refused", status: int | None = None) -> Refusal:
    return refuse(code, upstream=UpstreamFacts("openai", "upgrade", status))


def failing(stage: Any, status: int | None = None) -> Refusal:
    """A refusal that says "later"."""
    facts = UpstreamFacts("openai", stage, status)
    return refuse("upstream_refused", retryable=True, upstream=facts)


DOWN = failure("upstream_connect_failed")
BAD_KEY = failure("upstream_unauthorized", 401)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker()


def fail(breaker: Breaker, now: float, times: int = FAILURES) -> None:
    for _ in range(times):
        breaker.begin(now)
        breaker.failed(DOWN, now)


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (BAD_KEY, "trips"),
        (failure("upstream_unauthorized"), "trips"),  # in band
        (failure("upstream_quota_exhausted", 429), "trips"),
        (failure("upstream_quota_exhausted"), "trips"),
        (failure("upstream_unauthorized", 403), "passes"),
        (failure("upstream_refused", 400), "passes"),
        (failure("upstream_refused", 404), "passes"),
        (failure("upstream_rate_limited", 429), "passes"),
        (failure("upstream_rate_limited"), "passes"),
        (failure("upstream_rejected_request"), "passes"),
        (failure("relay_full"), "passes"),
        (failure("authorizer_unavailable"), "passes"),
        (failure("internal_error"), "passes"),
        (failure("upstream_refused", 405), "passes"),
        (failure("upstream_refused", 422), "passes"),
        (refuse("upstream_refused", upstream=UpstreamFacts("a", "first_event")), "passes"),
        (failing("first_event"), "counts"),
        (failing("upgrade", 408), "counts"),
        (failure("upstream_refused", 500), "counts"),
        (failure("upstream_refused", 302), "counts"),
        (failure("upstream_refused"), "counts"),
        (failure("upstream_dns_failed"), "counts"),
        (failure("upstream_connect_failed"), "counts"),
        (failure("upstream_tls_failed"), "counts"),
        (failure("upstream_timeout"), "counts"),
        (refuse("upstream_timeout"), "counts"),
    ],
)
def test_each_refusal_trips_counts_or_passes(refusal: Refusal, verdict: str) -> None:
    assert judged(refusal) == verdict


def test_a_breaker_opens_after_five_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 0, FAILURES - 1)
    breaker.succeeded()
    fail(breaker, 0, FAILURES - 1)
    assert breaker.wait(0) == 0
    fail(breaker, 0, 1)
    assert breaker.state == "open"
    assert breaker.wait(0) == INTERVAL
    assert breaker.wait(3) == INTERVAL - 3


def test_a_breaker_opens_at_once_when_the_key_is_wrong(breaker: Breaker) -> None:
    breaker.failed(BAD_KEY, 0)
    assert breaker.state == "open"


@pytest.mark.parametrize("code", KINDS)
def test_a_refusal_that_passes_never_opens_a_breaker(breaker: Breaker, code: RefusalCode) -> None:
    refusal = failure(code, None if judged(failure(code)) == "passes" else 403)
    if code == "upstream_quota_exhausted":
        return
    for _ in range(3 * FAILURES):
        breaker.failed(refusal, 0)
    assert breaker.state == "closed"


def test_a_refusal_that_passes_leaves_the_count_as_it_is(breaker: Breaker) -> None:
    fail(breaker, 0, FAILURES - 1)
    breaker.failed(failure("upstream_rate_limited", 429), 0)
    fail(breaker, 0, 1)
    assert breaker.state == "open"


def test_a_half_open_breaker_lets_one_hold_an_interval_try(breaker: Breaker) -> None:
    fail(breaker, 0)
    assert breaker.wait(INTERVAL - 0.1) > 0
    assert breaker.wait(INTERVAL) == 0
    breaker.begin(INTERVAL)
    assert breaker.state == "half-open"
    assert breaker.wait(INTERVAL) == INTERVAL
    assert breaker.wait(2 * INTERVAL) == 0


def test_a_success_closes_a_half_open_breaker(breaker: Breaker) -> None:
    fail(breaker, 0)
    breaker.begin(INTERVAL)
    breaker.succeeded()
    assert breaker.state == "closed"
    fail(breaker, INTERVAL, FAILURES - 1)
    assert breaker.state == "closed", "the count begins anew"


def test_a_failure_opens_a_half_open_breaker_again(breaker: Breaker) -> None:
    fail(breaker, 0)
    breaker.begin(INTERVAL)
    breaker.failed(DOWN, INTERVAL + 1)
    assert breaker.state == "open"
    assert breaker.wait(INTERVAL + 1) == INTERVAL


def test_a_try_that_is_given_up_keeps_others_out_no_longer(breaker: Breaker) -> None:
    fail(breaker, 0)
    breaker.begin(INTERVAL)
    assert breaker.wait(2 * INTERVAL) == 0


def test_a_try_refused_for_a_callers_mistake_lets_the_next_try(breaker: Breaker) -> None:
    fail(breaker, 0)
    breaker.begin(INTERVAL)
    breaker.failed(failure("upstream_rejected_request"), INTERVAL + 1)
    assert breaker.wait(INTERVAL + 1) == 0
    breaker.begin(INTERVAL + 1)
    assert breaker.wait(INTERVAL + 1) == INTERVAL


def test_a_clock_that_is_set_back_keeps_nobody_out(breaker: Breaker) -> None:
    fail(breaker, 3600)
    assert breaker.wait(3600 - INTERVAL / 2) > 0
    assert breaker.wait(0) == 0


def test_an_attempt_from_before_the_opening_does_not_extend_it(breaker: Breaker) -> None:
    fail(breaker, 0)
    breaker.failed(DOWN, 7)
    breaker.failed(BAD_KEY, 7)
    assert breaker.wait(7) == INTERVAL - 7


class Holds(RuleBasedStateMachine):
    """Any sequence of holds: nobody waits for ever, and while it is open few get through."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.tries: list[float] = []

    @rule(seconds=floats(0, 2 * INTERVAL))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(outcome=sampled_from(["open", "left", DOWN, BAD_KEY, failure("relay_full")]))
    def a_hold_comes(self, outcome: Any) -> None:
        if self.breaker.wait(self.now):
            return
        if self.breaker.state == "closed":
            self.tries.clear()
        else:
            self.tries.append(self.now)
        self.breaker.begin(self.now)
        if outcome not in ("open", "left") and judged(outcome) == "passes":
            self.tries.clear()  # the next may come at once
        if outcome == "open":
            self.breaker.succeeded()
        elif outcome != "left":
            self.breaker.failed(outcome, self.now)

    @invariant()
    def waits_are_bounded(self) -> None:
        assert 0 <= self.breaker.wait(self.now) <= INTERVAL * 1.001

    @invariant()
    def one_an_interval(self) -> None:
        gaps = zip(self.tries, self.tries[1:], strict=False)
        assert all(later - earlier >= INTERVAL * 0.999 for earlier, later in gaps)


TestHolds = Holds.TestCase
