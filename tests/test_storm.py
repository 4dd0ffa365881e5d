"""The simulated storm: what it says of the relay, and that its parts are what they stand for."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from bench.crowd import FULL, REFUSALS, TOO_LATE, AcceptFirst, Crowd, HeldRelay, Service, Terms
from bench.storm import SCENARIOS, Result, as_told, at_once, blow, each_second, table, terms_for
from bench.virtual import VirtualTime
from relay.rules.refusals import Refusal, refuse
from relay.upstreams.breaker import FAILURES

CLIENTS = 1000


@cache
def storm(scenario: int, seed: int = 1) -> Result:
    return blow(SCENARIOS[scenario], CLIENTS, seed)


AS_IT_IS, FIXED, FIRST_AT_ONCE, FIRST_BACKING_OFF, ONE_RELAY, FOUR_RELAYS = range(6)


@pytest.mark.parametrize("other", [FIXED, FIRST_AT_ONCE, FIRST_BACKING_OFF])
def test_the_service_is_asked_less_than_without_what_the_relay_and_its_clients_do(
    other: int,
) -> None:
    assert storm(AS_IT_IS).at_service < storm(other).at_service
    assert storm(AS_IT_IS).attempts < storm(other).attempts / 2
    assert storm(AS_IT_IS).refusals < storm(other).refusals


def test_a_balancer_that_asks_on_costs_the_service_more() -> None:
    assert storm(FOUR_RELAYS).at_service > 1.5 * storm(ONE_RELAY).at_service
    assert storm(FOUR_RELAYS).attempts > 1.5 * storm(ONE_RELAY).attempts


@pytest.mark.parametrize("scenario", range(len(SCENARIOS)))
def test_all_are_served_in_the_end_and_not_sooner_than_the_service_can(scenario: int) -> None:
    half, most, whole = storm(scenario).served
    assert half is not None
    assert most is not None
    assert whole is not None
    assert half < most <= whole
    assert whole > 19  # the service opens a twentieth of them a second


def test_a_storm_depends_on_its_seed_alone() -> None:
    assert blow(SCENARIOS[AS_IT_IS], CLIENTS, 1) == storm(AS_IT_IS)
    assert storm(AS_IT_IS, 2) != storm(AS_IT_IS)


def test_a_service_that_refusals_burden_serves_later() -> None:
    burdened = blow(SCENARIOS[FIRST_BACKING_OFF], CLIENTS, 1, 0.05)
    assert (burdened.served[0] or 0) > (storm(FIRST_BACKING_OFF).served[0] or 0)


def test_the_table_has_a_row_for_each() -> None:
    made = table([storm(AS_IT_IS), storm(FIXED)], CLIENTS, 1)
    assert [row[0] for row in made.rows] == ["as it is", "no jitter, no hints"]
    assert {len(row) for row in made.rows} == {len(made.headings)}
    assert "1,000 clients; 4 relays are left" in made.notes[0]


# Its parts


def test_what_is_due_in_one_moment_happens_as_it_was_asked_for() -> None:
    time, said = VirtualTime(), list[str]()
    time.after(2, said.append, "late")
    time.after(1, said.append, "first")
    time.after(1, said.append, "second")
    time.run(1.5)
    assert said == ["first", "second"]
    assert time.seconds() == 1


def test_clients_wait_as_the_relays_own_do() -> None:
    refusal = refuse("upstream_unavailable", retry_after=7)
    assert as_told(0, None, lambda: 1.0) == 0.5
    assert as_told(3, refusal, lambda: 0.5) == 7 + 2
    assert as_told(30, None, lambda: 1.0) == 30
    assert [each_second(attempts, refusal, lambda: 1.0) for attempts in (0, 1)] == [0, 1]
    assert at_once(5, None, lambda: 1.0) == 0.1


class Fixture:
    """One relay before a service of a test's own."""

    def __init__(self, accepts: float, room: int = 100, opening: float = 0.3) -> None:
        self.time = VirtualTime()
        self.terms = Terms(accepts, 1.0, 0.0, room, 0.001, 1.0, opening=opening)
        self.service = Service(self.time, self.terms)
        self.relay = HeldRelay(self.time, self.terms, self.service, Random(1))
        self.opened: list[int] = []
        self.ended: list[Refusal | None] = []

    def arrive(self, count: int) -> None:
        for client in range(count):
            self.relay.arrive(client, self.opened.append, self._ended)

    def _ended(self, client: int, refusal: Refusal | None) -> None:
        self.ended.append(refusal)


def test_a_relay_opens_what_the_service_accepts() -> None:
    fixture = Fixture(accepts=1000)
    fixture.arrive(3)
    fixture.time.run(0.3)
    assert fixture.opened == []
    fixture.time.run(1)
    assert fixture.opened == [0, 1, 2]


def test_a_relay_that_fails_five_times_asks_no_more() -> None:
    fixture = Fixture(accepts=0.001)
    fixture.arrive(FAILURES + 1)
    fixture.time.run(0.9)
    asked = fixture.service.asked.total
    fixture.arrive(10)
    fixture.time.run(0.95)
    assert fixture.service.asked.total == asked
    assert [each.code for each in fixture.ended[-10:] if each] == ["upstream_unavailable"] * 10
    assert all(each and each.retry_after for each in fixture.ended[-10:])


def test_a_relay_without_room_refuses_and_has_room_again_after_refusals() -> None:
    fixture = Fixture(accepts=0.001, room=1)
    fixture.arrive(2)
    fixture.time.run(0.9)
    assert fixture.ended == [FULL, REFUSALS[503]]
    fixture.arrive(1)
    fixture.time.run(0.95)
    assert fixture.ended[-1] != FULL


def test_a_hold_ends_when_its_time_is_up() -> None:
    fixture = Fixture(accepts=1000, opening=10)
    fixture.arrive(1)
    fixture.time.run(7.9)
    assert fixture.ended == []
    fixture.time.run(8.1)
    assert fixture.ended == [TOO_LATE]


def test_a_service_says_later_to_some_and_fails_the_rest() -> None:
    time = VirtualTime()
    service = Service(time, Terms(10, 20, 0, 1, 0.001, 1.0))
    assert [service.answer() for _ in range(4)] == [101, 429, 429, 503]
    assert REFUSALS[429].retry_after == 5
    assert REFUSALS[503].retryable
    assert (service.asked.peak, service.asked.total) == (4, 4)


@pytest.mark.parametrize(("tries", "asked"), [(1, 1), (4, 4)])
def test_a_balancer_asks_as_many_relays_as_it_is_told_to(tries: int, asked: int) -> None:
    time, terms = VirtualTime(), Terms(1, 1, 0, 0, 0.001, 1.0)
    relays = [HeldRelay(time, terms, Service(time, terms), Random(1))]  # without any room
    crowd = Crowd(time, terms, relays, at_once, Random(1), 1, tries)
    time.run(0.2)
    assert crowd.asked.total == asked
    assert [*crowd.refused] == [1]


def test_a_relay_that_accepts_first_asks_for_each_and_says_nothing() -> None:
    fixture = Fixture(accepts=0.001)
    relay = AcceptFirst(fixture.time, fixture.terms, fixture.service, Random(1))
    for client in range(20):
        relay.arrive(client, fixture.opened.append, fixture._ended)
    fixture.time.run(1)
    assert fixture.service.asked.total == 20
    assert fixture.ended == [None] * 20
    assert terms_for(100).polite == 25
