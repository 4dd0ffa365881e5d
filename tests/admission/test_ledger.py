"""What callers have spent today, in bounded memory."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.admission.ledger import LONGEST, LocalLedger
from relay.rules.budgets import DAY_SECONDS
from relay.rules.usage import NOTHING, Usage

CALLERS = st.sampled_from(["subject:ann", "subject:bob", "address:192.0.2.1", "near"])
AMOUNTS = st.builds(Usage, st.integers(0, 10**15), st.integers(0, 10**6).map(float))
NOON = 20_000 * DAY_SECONDS + DAY_SECONDS / 2


class Days(RuleBasedStateMachine):
    """A ledger beside plain sums, by caller and day."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.ledger = LocalLedger(lambda: self.now)
        self.tokens: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()

    @rule(caller=CALLERS, more=AMOUNTS)
    def spends(self, caller: str, more: Usage) -> None:
        self.tokens[caller] += more.tokens
        self.seconds[caller] += int(more.seconds)
        assert self.ledger.spend(caller, more) == self.told(caller)

    @rule(caller=CALLERS)
    def asks(self, caller: str) -> None:
        assert self.ledger.spent(caller) == self.told(caller)

    @rule(seconds=st.floats(0, 3 * DAY_SECONDS))
    def waits(self, seconds: float) -> None:
        before, self.now = self.now, self.now + seconds
        if before // DAY_SECONDS != self.now // DAY_SECONDS:
            self.tokens.clear()
            self.seconds.clear()

    @precondition(lambda self: self.now % DAY_SECONDS > 1)
    @rule()
    def is_set_back_within_the_day(self) -> None:
        self.now -= 1

    def told(self, caller: str) -> Usage:
        return Usage(self.tokens[caller], float(self.seconds[caller]))

    @invariant()
    def remembers_those_who_spent_today_and_nobody_else(self) -> None:
        self.ledger.spent("somebody")
        assert len(self.ledger) == len(self.tokens)


TestDays = Days.TestCase


@given(st.lists(st.tuples(st.text(), AMOUNTS), max_size=50), st.integers(1, 5))
def test_whoever_comes_no_more_are_remembered(spends: list[tuple[str, Usage]], most: int) -> None:
    ledger = LocalLedger(lambda: NOON, most)
    for caller, more in spends:
        ledger.spend(caller, more)
        assert len(ledger) <= most
    last = list(dict.fromkeys(caller for caller, _ in reversed(spends)))
    for caller in last[most:]:
        assert ledger.spent(caller) == NOTHING
    for caller in last[:most]:
        assert ledger.spent(caller).tokens >= 0


def test_of_too_many_the_one_that_spent_nothing_for_longest_is_forgotten() -> None:
    ledger = LocalLedger(lambda: NOON, 2)
    for caller in ("a", "b", "a", "c"):
        ledger.spend(caller, Usage(1))
    assert [ledger.spent(each).tokens for each in "abc"] == [2, 0, 1]


def test_one_that_only_asks_is_not_remembered() -> None:
    ledger = LocalLedger(lambda: NOON, 2)
    ledger.spend("a", Usage(1))
    for number in range(10):
        ledger.spent(f"other {number}")
    assert len(ledger) == 1
    assert ledger.spent("a") == Usage(1)


def test_long_names_are_kept_apart_and_short() -> None:
    ledger = LocalLedger(lambda: NOON)
    one, other = "x" * 100_000 + "a", "x" * 100_000 + "b"
    ledger.spend(one, Usage(1))
    ledger.spend("\ud800" * 100, Usage(3))
    assert (ledger.spent(one), ledger.spent(other)) == (Usage(1), NOTHING)
    assert all(len(name) <= LONGEST for name in ledger._spent)


@pytest.mark.parametrize("jump", [DAY_SECONDS, -DAY_SECONDS, 10_000 * DAY_SECONDS])
def test_a_clock_that_is_set_to_another_day_begins_it(jump: int) -> None:
    now = NOON
    ledger = LocalLedger(lambda: now)
    ledger.spend("a", Usage(5))
    now += jump
    assert ledger.spent("a") == NOTHING
    ledger.spend("a", Usage(1))
    now -= jump
    assert ledger.spent("a") == NOTHING, "also back to the right one"


def test_the_day_begins_at_midnight_utc() -> None:
    now = 20_000 * DAY_SECONDS - 0.001
    ledger = LocalLedger(lambda: now)
    ledger.spend("a", Usage(5, 2.5))
    assert ledger.spent("a") == Usage(5, 2.5)
    now += 0.001
    assert ledger.spent("a") == NOTHING
