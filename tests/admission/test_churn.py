"""Who reconnects without end is slowed down, and who does not is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.admission.churn import LONGEST_WAIT, SHORT_SECONDS, WITHIN_SECONDS, Churn


def die(churn: Churn, times: int, now: float = 0.0, every: float = 0.1) -> float:
    for _ in range(times):
        churn.ended(0.01, now, 5)
        now += every
    return now


def test_the_fifth_short_session_in_a_minute_costs_a_second() -> None:
    churn = Churn()
    now = die(churn, 4)
    assert churn.wait(now) == 0
    churn.ended(SHORT_SECONDS - 0.1, now, 5)
    assert churn.wait(now) == pytest.approx(1)


def test_the_wait_doubles_up_to_half_a_minute() -> None:
    churn, now = Churn(), 0.0
    now = die(churn, 4)
    waits = []
    for _ in range(8):
        churn.ended(0.01, now, 5)
        waits.append(churn.wait(now))
        now += waits[-1]
        assert churn.wait(now) == 0
    assert waits == pytest.approx([1, 2, 4, 8, 16, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT])


def test_many_that_end_in_one_moment_cost_one_wait() -> None:
    churn = Churn()
    die(churn, 50, every=0)
    assert churn.wait(0) == 1


def test_a_session_that_lasts_makes_all_good() -> None:
    churn = Churn()
    now = die(churn, 20)
    churn.ended(SHORT_SECONDS, now, 5)
    assert churn.wait(now) == 0
    assert churn.wait(die(churn, 4, now)) == 0


def test_a_minute_without_any_makes_all_good() -> None:
    churn = Churn()
    now = die(churn, 5) + 1 + WITHIN_SECONDS
    assert churn.wait(die(churn, 4, now)) == 0


def test_four_a_minute_are_never_slowed() -> None:
    churn, now = Churn(), 0.0
    for _ in range(100):
        churn.ended(0.01, now, 5)
        assert churn.wait(now) == 0
        now += 15.1


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 10)), max_size=50), st.integers(1, 9))
def test_no_wait_is_longer_than_half_a_minute(
    ends: list[tuple[float, float]], allowed: int
) -> None:
    churn, now = Churn(), 0.0
    for pause, seconds in ends:
        now += pause
        churn.ended(seconds, now, allowed)
        assert 0 <= churn.wait(now) <= LONGEST_WAIT + 1e-9  # now is a sum of floats
