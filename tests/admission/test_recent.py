"""Memory stays bounded whoever comes, and nobody who is there is forgotten."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from relay.admission.callers import CAPACITY, Callers
from relay.admission.client import Client
from relay.admission.recent import Recent
from relay.config.settings import Limits
from relay.rules.refusals import Refused


def test_a_million_addresses_take_no_more_memory_than_ten_thousand() -> None:
    callers = Callers(Limits(), lambda: 0.0)

    def come(first: int, count: int) -> None:
        for number in range(first, first + count):
            address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            visit = callers.visit(Client(address, spoken_for=True), "agent")
            visit.arrive()
            visit.closed(0.5, False)

    tracemalloc.start()
    come(0, 2 * CAPACITY)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (len(callers.callers), len(callers.churns)) == (CAPACITY, CAPACITY)
    assert taken < CAPACITY * 2048
    for number in range(1_000_000):
        callers.callers.use(number)
        callers.callers.leave(number)
    assert len(callers.callers) == CAPACITY


def test_an_ipv6_host_is_one_caller_whatever_it_calls_itself_in_its_network() -> None:
    callers = Callers(Limits(), lambda: 0.0)
    for number in range(1000):
        visit = callers.visit(Client(f"2001:db8::{number:x}"), "agent")
        with suppress(Refused):
            visit.arrive()
        visit.end()
    assert len(callers.callers) == 1


def test_who_came_last_is_kept() -> None:
    recent: Recent[int, list[int]] = Recent(list, 2)
    for key in (1, 2, 1, 3):
        recent.use(key).append(key)
        recent.leave(key)
    assert [recent.use(key) for key in (1, 3, 2)] == [[1, 1], [3], []]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=200))
def test_a_key_in_use_keeps_its_value(steps: list[tuple[int, bool]]) -> None:
    recent: Recent[int, object] = Recent(object, 3)
    used: dict[int, list[object]] = {}
    for key, comes in steps:
        if comes:
            value = recent.use(key)
            assert all(each is value for each in used.get(key, []))
            used.setdefault(key, []).append(value)
        elif used.get(key):
            used[key].pop()
            recent.leave(key)
        assert len(recent) <= 3 + sum(map(bool, used.values()))
