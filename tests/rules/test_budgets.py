"""Which budget is used up, and until when."""

from __future__ import annotations

from math import ceil

from attrs import astuple, fields
from hypothesis import given
from hypothesis import strategies as st

from relay.admission.quota import GrantLimits
from relay.config.auth import KeyLimits
from relay.config.settings import Limits
from relay.rules.budgets import BUDGETS, DAY_SECONDS, WORDS, Budget, day_of, seconds_until_more
from relay.rules.usage import NOTHING, Usage

AMOUNT = st.integers(0, 1000)
USAGE = st.builds(Usage, AMOUNT, AMOUNT.map(float))
TIMES = st.floats(0, 4e9)


def test_each_budget_has_a_key_and_words() -> None:
    assert tuple(each.name for each in fields(Budget)) == BUDGETS
    assert set(WORDS) == set(BUDGETS)
    for table in (Limits, GrantLimits, KeyLimits):
        assert set(BUDGETS) <= {each.name for each in fields(table)}


@given(st.builds(Budget, AMOUNT, AMOUNT, AMOUNT, AMOUNT), USAGE, USAGE)
def test_the_first_that_is_reached_is_used_up(budget: Budget, session: Usage, day: Usage) -> None:
    spent = (*astuple(day), *astuple(session))
    most = zip(BUDGETS, astuple(budget), spent, strict=True)
    reached = [name for name, limit, so_far in most if limit and so_far >= limit]
    assert budget.used_up(session, day) == (reached[0] if reached else None)


def test_who_has_spent_nothing_has_used_up_nothing() -> None:
    assert Budget(1, 1, 1, 1).used_up(NOTHING, NOTHING) is None


@given(TIMES)
def test_of_a_day_there_is_more_at_its_end(now: float) -> None:
    left = seconds_until_more("day_tokens", now)
    assert 0 < left <= DAY_SECONDS
    assert day_of(now + ceil(left)) == day_of(now) + 1
    assert day_of(max(0.0, now + left - 1)) <= day_of(now)
    assert seconds_until_more("session_tokens", now) == 0


@given(st.lists(st.tuples(AMOUNT, AMOUNT)))
def test_what_is_told_again_adds_up_to_the_most(told: list[tuple[int, int]]) -> None:
    total = NOTHING
    for tokens, seconds in told:
        total += Usage(tokens, float(seconds)).since(total)
    assert total.tokens == max((tokens for tokens, _ in told), default=0)
    assert total.seconds == max((seconds for _, seconds in told), default=0)
