"""A token bucket never gives more than its burst and its rate, and never less."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.timing.allowance import Allowance


def test_a_full_bucket_gives_its_burst_at_once_and_then_tells_how_long_to_wait() -> None:
    allowance = Allowance()
    assert [allowance.take(1, 0.0, 2.0, 3.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_what_is_not_taken_costs_nothing() -> None:
    allowance = Allowance()
    assert allowance.take(3, 0.0, 1.0, 3.0) == 0
    assert [allowance.take(1, 0.0, 1.0, 3.0) for _ in range(100)] == [1.0] * 100
    assert allowance.take(1, 1.0, 1.0, 3.0) == 0


def test_what_is_spent_may_be_owed() -> None:
    allowance = Allowance()
    assert allowance.spend(3, 0.0, 1.0, 3.0) == 0
    assert allowance.spend(5, 0.0, 1.0, 3.0) == 5
    assert allowance.spend(1, 4.0, 1.0, 3.0) == pytest.approx(2)


def test_idleness_earns_no_more_than_one_burst() -> None:
    allowance = Allowance()
    allowance.take(1, 0.0, 1.0, 3.0)
    assert [allowance.take(1, 1e9, 1.0, 3.0) for _ in range(4)] == [0, 0, 0, 1]


@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 5)), max_size=60),
    st.floats(0.1, 100),
    st.integers(5, 50),
)
def test_in_any_time_no_more_is_takenthan_the_rate_and_one_burst(
    asked: list[tuple[float, int]], rate: float, burst: int
) -> None:
    allowance = Allowance()
    now, taken = 0.0, 0
    for pause, count in asked:
        now += pause
        wait = allowance.take(count, now, rate, burst)
        if wait:
            # The wait that is told is enough.
            now += wait
            assert allowance.take(count, now, rate, burst) == 0
        taken += count
    assert taken <= burst + rate * now + 0.001
