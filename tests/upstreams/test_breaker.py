"""The breaker: what opens it, for how long, and who may try."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import floats, integers, sampled_from

from relay.rules.refusals import KINDS, Refusal, RefusalCode, UpstreamFacts, refuse
from relay.upstreams.breaker import FAILURES, FIRST, JITTER, MOST, TRIES, Breaker, judged


def failure(code: RefusalCode = "upstream_refused", status: int | None = None) -> Refusal:
    return refuse(code, upstream=UpstreamFacts("openai", "upgrade", status))


def failing(stage: Any, status: int | None = None) -> Refusal:
    """A refusal that says "later"."""
    facts = UpstreamFacts("openai", stage, status)
    return refuse("upstream_refused", retryable=True, upstream=facts)


def behind_a_relay(status: int | None) -> Refusal:
    """What another relay says whose own upstream refused with this status, or in band."""
    inner = UpstreamFacts("openai", "first_event" if status is None else "upgrade", status)
    outer = UpstreamFacts("core", "upgrade", 502, upstream=inner)
    return refuse("upstream_refused", upstream=outer)


DOWN = failure("upstream_connect_failed")
BAD_KEY = failure("upstream_unauthorized", 401)


class Calendar:
    """Dates that count up."""

    def __init__(self) -> None:
        self.told = 0

    def __call__(self) -> str:
        self.told += 1
        return f"date {self.told}"


def made(lot: float = 0.5) -> Breaker:
    """A breaker whose waits are as long as its intervals, unless the lot says otherwise."""
    return Breaker(lambda: lot, Calendar())


@pytest.fixture
def breaker() -> Breaker:
    return made()


def attempt(breaker: Breaker, now: float, refusal: Refusal = DOWN) -> None:
    """One that fails at once."""
    breaker.failed(refusal, now, breaker.begin(now))


def fail(breaker: Breaker, now: float, times: int = FAILURES) -> None:
    for _ in range(times):
        attempt(breaker, now)


@pytest.mark.parametrize(
    ("refusal", "verdict"),
    [
        (BAD_KEY, "trips"),
        (failure("upstream_unauthorized"), "trips"),  # in band
        (failure("upstream_quota_exhausted", 429), "trips"),
        (failure("upstream_quota_exhausted"), "trips"),
        (failure("upstream_unauthorized", 400), "trips"),
        (failure("upstream_unauthorized", 403), "trips"),
        (evolve(failure("upstream_unauthorized", 403), of_request=True), "passes"),
        (evolve(failure("upstream_refused", 403), of_request=True), "passes"),
        (behind_a_relay(400), "passes"),
        (behind_a_relay(404), "passes"),
        (behind_a_relay(403), "counts"),
        (behind_a_relay(500), "counts"),
        (behind_a_relay(None), "passes"),
        (failure("upstream_refused", 403), "counts"),
        (failure("upstream_rejected_request", 403), "passes"),
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
    assert breaker.state(0) == "open"
    assert breaker.wait(0) == FIRST
    assert breaker.wait(0.3) == FIRST - 0.3


def test_a_breaker_opens_at_once_when_the_key_is_wrong(breaker: Breaker) -> None:
    attempt(breaker, 0, BAD_KEY)
    assert breaker.state(0) == "open"


@pytest.mark.parametrize("code", KINDS)
def test_a_refusal_that_passes_never_opens_a_breaker(breaker: Breaker, code: RefusalCode) -> None:
    refusal = failure(code, None if judged(failure(code)) == "passes" else 405)
    if judged(refusal) == "trips":
        return
    for _ in range(3 * FAILURES):
        attempt(breaker, 0, refusal)
    assert breaker.state(0) == "closed"


def test_a_refusal_that_passes_leaves_the_count_as_it_is(breaker: Breaker) -> None:
    fail(breaker, 0, FAILURES - 1)
    attempt(breaker, 0, failure("upstream_rate_limited", 429))
    fail(breaker, 0, 1)
    assert breaker.state(0) == "open"


# -- how long ------------------------------------------------------------------------------


def waits(breaker: Breaker, refusal: Refusal, count: int) -> list[float]:
    """The waits of a breaker that is open at 0, and whose tries all fail at once."""
    found, now = [], 0.0
    for _ in range(count):
        found.append(breaker.wait(now))
        now += found[-1]
        attempt(breaker, now, refusal)
    return found


def test_the_interval_doubles_with_every_eighth_try_to_ten_seconds(breaker: Breaker) -> None:
    fail(breaker, 0)
    found = waits(breaker, DOWN, 5 * TRIES)
    assert found[::TRIES] == pytest.approx([FIRST, 2, 4, 8, MOST])
    assert found == pytest.approx(sorted(found))
    for tries in range(20_000):
        attempt(breaker, 1e6 + tries * MOST)
    assert breaker.wait(1e6 + 19_999 * MOST) == MOST, "days later"


@pytest.mark.parametrize("refusal", [BAD_KEY, failure("upstream_quota_exhausted", 429)])
def test_what_an_operator_must_mend_is_tried_every_ten_seconds(
    breaker: Breaker, refusal: Refusal
) -> None:
    attempt(breaker, 0, refusal)
    assert waits(breaker, refusal, 3) == [MOST] * 3
    attempt(breaker, 3 * MOST, DOWN)
    assert breaker.wait(3 * MOST) < MOST, "another failure now: it may pass"


@pytest.mark.parametrize(("lot", "share"), [(0.0, 1 - JITTER), (1.0, 1 + JITTER)])
def test_a_wait_is_three_tenths_shorter_or_longer_by_chance(lot: float, share: float) -> None:
    breaker = made(lot)
    fail(breaker, 0)
    assert breaker.wait(0) == pytest.approx(FIRST * share)
    attempt(breaker, 100, BAD_KEY)
    assert breaker.wait(100) == pytest.approx(MOST * share)


def test_after_a_session_opened_the_interval_is_the_first_again(breaker: Breaker) -> None:
    fail(breaker, 0)
    waits(breaker, DOWN, 5 * TRIES)
    breaker.begin(1000)
    breaker.succeeded()
    fail(breaker, 2000)
    assert breaker.wait(2000) == FIRST


# -- the state -----------------------------------------------------------------------------


def test_when_its_wait_is_over_an_open_breaker_is_half_open(breaker: Breaker) -> None:
    fail(breaker, 0)
    assert breaker.state(FIRST - 0.01) == "open"
    assert breaker.state(FIRST) == "half-open"
    assert breaker.state(1e6) == "half-open"


def test_a_half_open_breaker_lets_one_try_at_a_time(breaker: Breaker) -> None:
    fail(breaker, 0)
    assert breaker.wait(FIRST) == 0
    period = breaker.begin(FIRST)
    for later in (FIRST, FIRST + 0.9, FIRST + 7):
        assert breaker.state(later) == "half-open"
        assert breaker.wait(later) >= FIRST, "however long it takes"
    breaker.failed(DOWN, FIRST + 7, period)
    assert breaker.state(FIRST + 7) == "open"
    assert breaker.wait(FIRST + 7) == FIRST


def test_a_success_closes_a_half_open_breaker(breaker: Breaker) -> None:
    fail(breaker, 0)
    breaker.begin(FIRST)
    breaker.succeeded()
    assert breaker.state(FIRST) == "closed"
    assert breaker.cause is None
    fail(breaker, FIRST, FAILURES - 1)
    assert breaker.state(FIRST) == "closed", "the count begins anew"


def test_after_a_try_that_is_given_up_another_may_come_within_the_interval(
    breaker: Breaker,
) -> None:
    fail(breaker, 0)
    breaker.gave_up(breaker.begin(FIRST))
    assert breaker.state(FIRST) == "open"
    assert breaker.wait(FIRST) == FIRST
    breaker.gave_up(breaker.begin(2 * FIRST))
    assert breaker.wait(3 * FIRST) == 0


def test_a_try_refused_for_a_callers_mistake_lets_the_next_try(breaker: Breaker) -> None:
    fail(breaker, 0)
    attempt(breaker, FIRST, failure("upstream_rejected_request"))
    assert breaker.wait(FIRST) == 0
    breaker.begin(FIRST)
    assert breaker.wait(FIRST) == FIRST


@pytest.mark.parametrize("back", [3600, 1e9])
@pytest.mark.parametrize("tries", [0, 5 * TRIES])
def test_a_clock_that_is_set_back_keeps_nobody_out(
    breaker: Breaker, tries: int, back: float
) -> None:
    fail(breaker, 3600)
    for _ in range(tries):
        attempt(breaker, 3600)
    assert breaker.wait(3599) > 0
    assert breaker.wait(3600 - back) == 0
    breaker.begin(3600)
    assert breaker.wait(3600) > 0
    assert breaker.wait(3600 - back) == 0, "also while another tries"


# -- results of other times ----------------------------------------------------------------


def test_an_attempt_from_before_the_opening_changes_nothing(breaker: Breaker) -> None:
    before = breaker.begin(0)
    fail(breaker, 0)
    for refusal in (DOWN, BAD_KEY, failure("relay_full")):
        breaker.failed(refusal, 0.4, before)
    breaker.gave_up(before)
    assert breaker.wait(0.4) == FIRST - 0.4
    breaker.begin(FIRST)
    for refusal in (DOWN, BAD_KEY, failure("relay_full")):
        breaker.failed(refusal, FIRST, before)
    breaker.gave_up(before)
    assert breaker.state(FIRST) == "half-open", "the one that tries is another"
    assert breaker.wait(FIRST) == FIRST


def test_an_attempt_from_before_the_closing_counts_no_more(breaker: Breaker) -> None:
    before = [breaker.begin(0) for _ in range(2 * FAILURES)]
    fail(breaker, 0)
    trying = breaker.begin(FIRST)
    breaker.succeeded()
    for period in (*before, trying):
        breaker.failed(DOWN, 8, period)
    fail(breaker, 8, FAILURES - 1)
    assert breaker.state(8) == "closed"
    fail(breaker, 8, 1)
    assert breaker.state(8) == "open"


def test_a_success_from_before_the_opening_closes_it(breaker: Breaker) -> None:
    breaker.begin(0)
    fail(breaker, 0)
    breaker.succeeded()
    assert breaker.wait(0) == 0


# -- what it tells -------------------------------------------------------------------------


def test_an_open_breaker_refuses_with_the_key_as_the_cause(breaker: Breaker) -> None:
    attempt(breaker, 0, BAD_KEY)
    refusal = breaker.refusal(3)
    assert refusal is not None
    assert (refusal.code, refusal.status) == ("upstream_unauthorized", 502)
    assert (refusal.retryable, refusal.close_code) == (False, 4502)
    assert refusal.retry_after is None
    assert refusal.upstream == BAD_KEY.upstream
    assert (refusal.cause, refusal.since) == ("upstream_unauthorized", "date 1")
    assert refusal.message == (
        "The relay's own upstream key was refused; its operator must correct it (since date 1)."
    )


def test_an_open_breaker_refuses_with_the_failure_that_may_pass_as_the_cause(
    breaker: Breaker,
) -> None:
    fail(breaker, 0)
    refusal = breaker.refusal(0.1)
    assert refusal is not None
    assert (refusal.code, refusal.status, refusal.retryable) == ("upstream_unavailable", 503, True)
    assert (refusal.close_code, refusal.retry_after) == (1013, 1)
    assert refusal.upstream == DOWN.upstream
    assert (refusal.cause, refusal.since) == ("upstream_connect_failed", "date 1")
    assert refusal.message == (
        "The upstream is failing (upstream_connect_failed since date 1); wait."
    )


@pytest.mark.parametrize("code", [code for code in KINDS if judged(refuse(code)) != "passes"])
@pytest.mark.parametrize("retryable", [False, True])
def test_each_cause_keeps_its_retry_word_and_its_upstream(
    code: RefusalCode, retryable: bool
) -> None:
    facts = UpstreamFacts("openai", "tls")
    cause = refuse(code, retryable=retryable, retry_after=60, upstream=facts)
    breaker = made()
    for _ in range(FAILURES):
        if breaker.state(0) == "closed":
            attempt(breaker, 0, cause)
    refusal = breaker.refusal(0)
    assert refusal is not None
    assert (refusal.retryable, refusal.upstream, refusal.cause) == (retryable, facts, code)
    assert refusal.code == ("upstream_unavailable" if retryable else code)
    assert (refusal.retry_after is not None) == retryable


def test_who_waits_for_another_ones_try_is_told_the_cause(breaker: Breaker) -> None:
    fail(breaker, 0)
    assert breaker.refusal(FIRST) is None
    breaker.begin(FIRST)
    refusal = breaker.refusal(FIRST + 5)
    assert refusal is not None
    assert (refusal.cause, refusal.retry_after) == ("upstream_connect_failed", 1)


@pytest.mark.parametrize("retryable", [False, True])
def test_the_words_for_one_request_are_told_to_no_other(breaker: Breaker, retryable: bool) -> None:
    words = "The upstream answered HTTP 500 (bad luck with model secret-model)."
    for _ in range(FAILURES):
        refusal = refuse("upstream_refused", words, retryable=retryable)
        attempt(breaker, 0, evolve(refusal, said=words))
    assert breaker.cause is not None
    assert "secret" not in breaker.cause.refusal.message
    told = breaker.refusal(0)
    assert told is not None
    assert "secret" not in told.message + told.said


def test_since_is_when_failures_of_this_code_began(breaker: Breaker) -> None:
    fail(breaker, 0, 2)
    assert breaker.cause is None, "it is closed"
    for _ in range(3):
        attempt(breaker, 0, failure("upstream_timeout"))
    assert breaker.cause is not None
    assert (breaker.cause.refusal.code, breaker.cause.since) == ("upstream_timeout", "date 2")
    attempt(breaker, FIRST, failure("upstream_timeout"))
    assert breaker.cause.since == "date 2", "a try in vain does not begin it anew"
    attempt(breaker, 10, BAD_KEY)
    assert (breaker.cause.refusal.code, breaker.cause.since) == ("upstream_unauthorized", "date 3")
    breaker.succeeded()
    fail(breaker, 20)
    assert breaker.cause.since == "date 4"


# -- who comes how soon --------------------------------------------------------------------


def served(
    seed: int, clients: int, until: float, is_up: Callable[[float], bool]
) -> list[tuple[float, bool]]:
    """
    Each client's holds and whether they were served, by an upstream that fails at once if it fails.

    @param clients: so many; each comes again each second.
    """
    chance = random.Random(seed)
    breaker = Breaker(chance.random, Calendar())
    first = [chance.random() for _ in range(clients)]
    answers = []
    for now in sorted(at + n for at in first for n in range(int(until))):
        opens = not breaker.wait(now)
        if opens:
            period = breaker.begin(now)
            opens = is_up(now)
            breaker.succeeded() if opens else breaker.failed(DOWN, now, period)
        answers.append((now, opens))
    return answers


@given(integers(0, 2**32), floats(0.5, 3))
def test_two_seconds_after_a_restart_all_are_served(seed: int, seconds: float) -> None:
    answers = served(seed, 300, 8, lambda now: now >= seconds)
    last = max(now for now, opens in answers if not opens)
    assert last - seconds <= FIRST * (1 + JITTER) + 0.1, "then the next client's try opens it"


def up_in_step(period: float, offset: float) -> Callable[[float], bool]:
    """Up in the second half of each period."""
    return lambda now: (now + offset) % period >= period / 2


@given(integers(0, 2**32), floats(3, 60), floats(0, 60))
def test_an_upstream_that_flaps_is_served_each_time_it_is_up(
    seed: int, period: float, offset: float
) -> None:
    is_up = up_in_step(period, offset)
    until = max(60.0, 5 * period)
    answers = served(seed, 20, until, is_up)
    seen = {(now + offset) // period for now, _ in answers if is_up(now)}
    got = {(now + offset) // period for now, opens in answers if opens}
    whole = {up for up in seen if period < up * period - offset < until - 2 * period}
    assert whole
    assert whole <= got


@pytest.mark.parametrize("period", [0.3, 0.5, 1, 1.5, 2, 2.5])
def test_an_upstream_that_flaps_very_fast_is_served_several_times_a_minute(period: float) -> None:
    for seed in range(20):
        answers = served(seed, 20, 60, up_in_step(period, 0.0))
        times = [0.0, *(now for now, opens in answers if opens), 60.0]
        assert max(later - now for now, later in pairwise(times)) < 30


class Holds(RuleBasedStateMachine):
    """
    Any sequence of holds, any number at once: nobody waits for ever, and while the breaker is not
    closed, one at a time gets through.
    """

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(1)
        self.breaker = Breaker(self.random.random, Calendar())
        self.now = 0.0
        self.pending: list[int] = []
        self.trying: list[int] = []
        self.last_try: float | None = None

    @rule(seconds=floats(0, 2 * MOST))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_hold_comes(self) -> None:
        if self.breaker.wait(self.now):
            assert self.breaker.refusal(self.now) is not None
            return
        if self.breaker.state(self.now) == "closed":
            self.pending.append(self.breaker.begin(self.now))
            return
        assert self.breaker.state(self.now) == "half-open"
        assert not self.trying, "one at a time"
        if self.last_try is not None:
            assert self.now - self.last_try >= FIRST * (1 - JITTER) * 0.999
        self.trying.append(self.breaker.begin(self.now))
        self.last_try = self.now

    @rule(
        outcome=sampled_from(["open", "left", DOWN, BAD_KEY, failure("relay_full")]),
        which=integers(0, 100),
    )
    def one_ends(self, outcome: Any, which: int) -> None:
        among = self.pending + self.trying
        if not among:
            return
        period = among[which % len(among)]
        was_trying = period in self.trying
        (self.trying if was_trying else self.pending).remove(period)
        before = self.breaker.state(self.now)
        if outcome == "open":
            self.breaker.succeeded()
            assert self.breaker.state(self.now) == "closed"
            self.pending, self.trying = self.pending + self.trying, []
            self.last_try = None
        elif outcome == "left":
            self.breaker.gave_up(period)
        else:
            self.breaker.failed(outcome, self.now, period)
            if was_trying and judged(outcome) == "passes":
                self.last_try = None  # the next may come at once
            elif was_trying:
                assert self.breaker.state(self.now) == "open"
        if before != "closed" and not was_trying and outcome != "open":
            assert self.breaker.state(self.now) == before

    @invariant()
    def waits_are_bounded(self) -> None:
        assert 0 <= self.breaker.wait(self.now) <= MOST * (1 + JITTER) * 1.001

    @invariant()
    def it_has_a_cause_unless_it_is_closed(self) -> None:
        assert (self.breaker.cause is None) == (self.breaker.state(self.now) == "closed")

    @invariant()
    def it_is_open_only_while_it_waits(self) -> None:
        if self.breaker.state(self.now) == "open":
            assert self.breaker.wait(self.now) > 0


TestHolds = Holds.TestCase
