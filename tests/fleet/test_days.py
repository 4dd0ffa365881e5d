"""What a caller has spent today, on all relays, with a store that may be away or forget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, tuples
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from relay.fleet.days import FRESH_SECONDS, SharedLedger
from relay.fleet.names import Names
from relay.fleet.scripts import SPEND, Script
from relay.fleet.store import StoreFault
from relay.rules.budgets import DAY_SECONDS
from relay.rules.usage import NOTHING, Usage

NOON = 20_000 * DAY_SECONDS + 43_200.0


class Days:
    """
    The store, by the script's description, and relays at it.

    @ivar asked: how often it was.
    """

    def __init__(self, relays: int = 1, capacity: int = 9) -> None:
        self.clock = Clock()
        self.now = NOON
        self.is_away = False
        self.asked = 0
        self.kept: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        self.relays = [
            SharedLedger(
                self._ask,
                lambda: not self.is_away,
                Names("relay"),
                f"r{number}",
                self.clock.seconds,
                lambda: self.now,
                capacity,
            )
            for number in range(relays)
        ]

    def _ask(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Any]
    ) -> Deferred[list[int]]:
        assert script is SPEND
        self.asked += 1
        if self.is_away:
            return fail(StoreFault("away"))
        relay, *sums = arguments
        told: list[int] = []
        for key, pair in zip(keys, zip(sums[::2], sums[1::2], strict=True), strict=True):
            kept = self.kept[key].get(relay, (0, 0))
            self.kept[key][relay] = (max(kept[0], pair[0]), max(kept[1], pair[1]))
            others = [value for name, value in self.kept[key].items() if name != relay]
            told += [sum(each) for each in zip((0, 0), *others, strict=True)]
        return succeed(told)


def now(answer: Usage | Deferred[Usage]) -> Usage:
    """The answer, which is there by now."""
    if isinstance(answer, Usage):
        return answer
    assert isinstance(answer.result, Usage)
    return answer.result


def test_what_is_spent_at_one_relay_is_known_at_all() -> None:
    days = Days(2)
    first, second = days.relays
    assert now(first.spend("subject:ann", Usage(100, 1.5))) == Usage(100, 1.5)
    assert now(second.spend("subject:ann", Usage(10, 0.25))) == Usage(110, 1.75)
    assert now(second.spent("subject:ann")) == Usage(110, 1.75)
    assert now(second.spent("subject:ben")) == NOTHING


def test_what_the_store_has_just_told_is_not_asked_again() -> None:
    days = Days()
    (one,) = days.relays
    one.learn("subject:ann", 70, 2_500_000)
    assert one.spent("subject:ann") == Usage(70, 2.5)
    assert days.asked == 0
    days.clock.advance(FRESH_SECONDS)
    assert now(one.spent("subject:ann")) == NOTHING
    assert days.asked == 1


def test_while_the_store_is_away_what_is_known_counts_at_once() -> None:
    days = Days(2)
    first, second = days.relays
    now(first.spend("subject:ann", Usage(100)))
    now(second.spent("subject:ann"))
    days.is_away = True
    assert second.spend("subject:ann", Usage(5)) == Usage(105)
    days.clock.advance(FRESH_SECONDS)
    assert second.spent("subject:ann") == Usage(105)
    asked = Deferred.fromCoroutine(second.tell_all(9))
    caught: list[Any] = []
    asked.addErrback(caught.append)
    assert caught[0].check(StoreFault), "the one who tells has to know"


def test_a_question_that_fails_is_answered_by_what_is_known() -> None:
    days = Days()
    (one,) = days.relays
    one._answers = lambda: True
    days.is_away = True
    assert now(one.spend("subject:ann", Usage(5))) == Usage(5)


def test_a_new_day_begins_with_nothing_and_under_another_key() -> None:
    days = Days()
    (one,) = days.relays
    now(one.spend("subject:ann", Usage(100)))
    assert one.key("subject:ann") == "{relay}:spent:20000:subject:ann"
    days.now += DAY_SECONDS / 2
    assert one.key("subject:ann") == "{relay}:spent:20001:subject:ann"
    assert now(one.spent("subject:ann")) == NOTHING


def test_a_long_name_is_kept_by_its_hash_and_no_more_callers_than_may() -> None:
    days = Days(capacity=2)
    (one,) = days.relays
    for name in ("a" * 10_000, "b", "c"):
        now(one.spend(name, Usage(1)))
    assert len(one.key("a" * 10_000)) < 100
    assert [*one._spent] == ["b", "c"]


@given(
    lists(
        tuples(sampled_from(["spend", "ask", "away", "back", "lose"]), integers(0, 2)),
        max_size=40,
    )
)
def test_whatever_the_store_does_nothing_is_counted_twice_and_all_is_counted_in_the_end(
    steps: list[tuple[str, int]],
) -> None:
    days, true = Days(3), 0
    for what, number in steps:
        ledger = days.relays[number]
        days.clock.advance(FRESH_SECONDS)
        if what == "spend":
            true += 1
            assert now(ledger.spend("subject:ann", Usage(1))).tokens <= true
        elif what == "ask":
            assert now(ledger.spent("subject:ann")).tokens <= true
        elif what == "lose":
            days.kept.clear()
        else:
            days.is_away = what == "away"
    days.is_away = False
    for ledger in days.relays:
        Deferred.fromCoroutine(ledger.tell_all(1))
    days.clock.advance(FRESH_SECONDS)
    assert {now(ledger.spent("subject:ann")) for ledger in days.relays} == {Usage(true)}
