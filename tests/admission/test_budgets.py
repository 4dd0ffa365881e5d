"""Budgets by a ledger that may be elsewhere, and answer later."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from relay.admission.budgets import Account, Budgets
from relay.admission.callers import OverLimit
from relay.admission.ledger import LocalLedger
from relay.rules.budgets import Budget
from relay.rules.usage import NOTHING, Usage
from relay.timing.turns import Turns

BUDGET = Budget(100, 0, 50, 0)


class Elsewhere:
    """A ledger that answers when the test says so; other relays may spend by it, too."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Usage]] = []
        self.total = NOTHING

    def spent(self, caller: str) -> Deferred[Usage]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def spend(self, caller: str, more: Usage) -> Deferred[Usage]:
        self.total += more
        return self.spent(caller)

    def answer(self) -> None:
        asked, self.asked = self.asked, []
        for each in asked:
            each.callback(self.total)


class Desk:
    """Budgets by such a ledger, and the ends of their sessions."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = Elsewhere()
        self.budgets = Budgets(self.ledger, Turns(self.clock))
        self.ends: list[tuple[str, str]] = []

    def open(self, name: str, caller: str = "ann") -> Account:
        account = self.budgets.open(caller, BUDGET, lambda used: self.ends.append((name, used)))
        self.ledger.answer()
        return account


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_hold_waits_for_the_ledger(desk: Desk) -> None:
    admitted: list[Any] = []
    for _ in range(2):
        hold = Deferred.fromCoroutine(desk.budgets.admit("ann", BUDGET))
        hold.addBoth(admitted.append)
    assert admitted == []
    desk.ledger.answer()
    assert admitted == [None, None]
    desk.ledger.total = Usage(100)
    Deferred.fromCoroutine(desk.budgets.admit("ann", BUDGET)).addBoth(admitted.append)
    desk.ledger.answer()
    assert admitted.pop().check(OverLimit)


def test_without_a_budget_for_the_day_nobody_waits(desk: Desk) -> None:
    admitted: list[Any] = []
    budget = Budget(0, 0, 50, 50)
    Deferred.fromCoroutine(desk.budgets.admit("ann", budget)).addBoth(admitted.append)
    account = desk.budgets.open("ann", budget, lambda _: None)
    assert (admitted, desk.ledger.asked) == ([None], [])
    account.report(Usage(5))
    assert desk.ledger.total == Usage(5), "it may have one by the next settings"


def test_what_other_relays_spend_ends_a_session_at_its_next_report(desk: Desk) -> None:
    one, _ = desk.open("one"), desk.open("two")
    desk.ledger.total = Usage(99)
    one.report(Usage(1))
    desk.clock.advance(0)
    assert desk.ends == []
    desk.ledger.answer()
    assert desk.ends == [], "in a later turn"
    desk.clock.advance(0)
    assert sorted(desk.ends) == [("one", "day_tokens"), ("two", "day_tokens")]


def test_a_budget_of_the_session_does_not_wait_for_the_ledger(desk: Desk) -> None:
    desk.open("one").report(Usage(50))
    desk.clock.advance(0)
    assert desk.ends == [("one", "session_tokens")]
    desk.ledger.answer()


def test_each_session_is_ended_once_whatever_is_reported_then(desk: Desk) -> None:
    accounts = [desk.open(name) for name in ("one", "two")]
    for spent in (50, 90, 200):
        for account in accounts:
            account.report(Usage(spent))
        desk.ledger.answer()
        desk.clock.advance(0)
    assert sorted(desk.ends) == [("one", "session_tokens"), ("two", "session_tokens")]


def test_a_session_that_is_over_is_left_alone_and_forgotten(desk: Desk) -> None:
    one, two = desk.open("one"), desk.open("two")
    one.report(Usage(50))
    one.close()
    two.report(Usage(10))
    two.close()
    assert desk.budgets._open == {}
    desk.ledger.total = Usage(500)
    desk.ledger.answer()
    desk.clock.advance(0)
    assert desk.ends == []
    assert desk.clock.getDelayedCalls() == []


def test_a_report_that_adds_nothing_costs_nothing(desk: Desk) -> None:
    account = desk.open("one")
    for spent in (Usage(5), Usage(5), Usage(3), NOTHING):
        account.report(spent)
    assert len(desk.ledger.asked) == 1
    account.report(Usage(6))
    assert desk.ledger.total == Usage(6)


# -- any number of sessions, by a ledger here ------------------------------------------------

Step = tuple[int, int]
"""Which session reports, and how many tokens more."""


@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=6),
    st.integers(0, 60),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), max_size=40),
)
def test_a_session_ends_with_its_own_budget_or_its_callers_and_no_sooner(
    callers: list[str], by_day: int, by_session: int, steps: list[Step]
) -> None:
    clock, ended = Clock(), set[int]()
    budgets = Budgets(LocalLedger(lambda: 0.0), Turns(clock))
    budget = Budget(by_day, 0, by_session, 0)
    names = list(enumerate(callers))
    accounts = [
        budgets.open(caller, budget, partial(lambda number, _: ended.add(number), number))
        for number, caller in names
    ]
    spent = [0] * len(callers)
    for step, more in steps:
        number = step % len(callers)
        spent[number] += more
        accounts[number].report(Usage(spent[number]))
        clock.advance(0)
        days = {each: sum(spent[n] for n, caller in names if caller == each) for each in "ab"}
        over = {n for n, _ in names if 0 < by_session <= spent[n]}
        over |= {n for n, caller in names if 0 < by_day <= days[caller]}
        assert ended == over


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    """What is logged meanwhile."""
    events: list[LogEvent] = []
    observe = cast(Any, events.append)
    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def test_a_ledger_that_fails_is_logged_and_ends_nothing(desk: Desk, logged: list[LogEvent]) -> None:
    desk.open("one").report(Usage(5))
    desk.ledger.asked.pop().errback(RuntimeError("away"))
    (event,) = logged
    assert event["log_format"] == "the ledger failed"
    desk.clock.advance(0)
    assert desk.ends == []
