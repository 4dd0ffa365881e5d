"""Which upstreams are tried, in which order, and which are passed over."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twisted.internet.task import Clock

from relay import Upstream
from relay.rules.refusals import Refusal, Refused, UpstreamFacts, refuse
from relay.upstreams.balancing import Balancer, Standing
from relay.upstreams.breaker import FAILURES
from relay.upstreams.diagnosis import Finding
from relay.upstreams.endpoints import ENDPOINTS, REALTIME


def upstream(name: str, **options: Any) -> Upstream:
    return Upstream("ws://127.0.0.1/", name, **options)


def balancer(*upstreams: Upstream) -> Balancer:
    return Balancer(upstreams, random.Random(7).random, lambda: 0.0)


def names(order: list[Standing]) -> list[str]:
    return [standing.upstream.name for standing in order]


def test_a_balancer_without_upstreams_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs an upstream"):
        balancer()


def test_two_upstreams_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="names of their own, not a, b, a"):
        balancer(upstream("a"), upstream("b"), upstream("a"))


def test_the_lowest_priority_goes_first() -> None:
    among = balancer(
        upstream("c", priority=2), upstream("a", weight=1), upstream("b", priority=1, weight=1000)
    )
    assert {tuple(names(among.order(REALTIME, "m"))) for _ in range(100)} == {("a", "b", "c")}


def test_upstreams_of_one_priority_share_by_weight() -> None:
    among = balancer(upstream("one"), upstream("three", weight=3))
    first = Counter(names(among.order(REALTIME, None))[0] for _ in range(10_000))
    assert 0.23 < first["one"] / 10_000 < 0.27


@pytest.mark.parametrize("lot", [0.0, 1 - 2**-53])
def test_the_ends_of_the_random_range_are_no_error(lot: float) -> None:
    among = Balancer([upstream("a"), upstream("b")], lambda: lot, lambda: 0.0)
    assert len(among.order(REALTIME, None)) == 2


def test_only_upstreams_that_take_the_model_are_tried() -> None:
    among = balancer(upstream("any"), upstream("some", models={"m": "x"}, priority=1))
    assert names(among.order(REALTIME, "m")) == ["any", "some"]
    assert names(among.order(REALTIME, "n")) == ["any"]
    assert names(among.order(REALTIME, None)) == ["any", "some"]


@pytest.mark.parametrize(
    ("names", "told"),
    [("b a", "a0, b, a"), ("a b c d e f g h i j", "a0, a, b, c, d, e, f, g, h, i and others")],
)
def test_who_asks_for_a_model_that_there_is_not_is_told_which_there_are(
    names: str, told: str
) -> None:
    models = dict.fromkeys(names.split(), "x")
    azure = upstream("z", provider="azure", models={"a0": "y"})
    among = balancer(azure, upstream("a", models=models))
    with pytest.raises(Refused) as refused:
        among.order(REALTIME, "other")
    assert refused.value.refusal.message == f"Choose a model that this relay allows: {told}."


def test_a_service_of_another_protocol_is_tried_only_where_no_other_serves_it() -> None:
    openai, gemini = (
        upstream("a", priority=1),
        upstream("g", provider="gemini", models={"live": "live"}),
    )
    both = balancer(gemini, openai)
    for model in ("m", None, "live"):
        assert names(both.order(REALTIME, model)) == ["a"]
    assert names(both.order(ENDPOINTS["gemini"], None)) == ["g"]
    assert names(balancer(gemini).order(REALTIME, None)) == ["g"]
    named = upstream("a", models={"m": "m"})
    assert names(balancer(gemini, named).order(REALTIME, "live")) == ["g"]


def standing_of(clock: Clock, **options: Any) -> Standing:
    return Standing(upstream("a", **options), lambda: 0.5, clock.seconds, lambda: "then")


def fail(standing: Standing, *refusals: Refusal) -> None:
    for refusal in refusals or [refuse("upstream_timeout")] * FAILURES:
        standing.failed(refusal, standing.begin(), "ConnectionRefusedError")
        standing.end()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_full_upstream_is_passed_over_until_a_connection_ends(clock: Clock) -> None:
    standing = standing_of(clock, max_sessions=1)
    assert standing.refusal() is None
    standing.begin()
    refusal = standing.refusal()
    assert refusal is not None
    assert (refusal.code, refusal.cause) == ("relay_full", None)
    assert refusal.upstream == UpstreamFacts("a", None)
    standing.end()
    assert standing.refusal() is None


def test_an_open_breaker_is_passed_over_for_the_rest_of_its_interval(clock: Clock) -> None:
    standing = standing_of(clock)
    fail(standing)
    clock.advance(0.4)
    refusal = standing.refusal()
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == ("upstream_unavailable", 1)
    assert (refusal.cause, refusal.since) == ("upstream_timeout", "then")
    assert refusal.upstream == UpstreamFacts("a", None)
    states = [standing.breaker_state]
    clock.advance(0.6)
    states.append(standing.breaker_state)
    assert standing.refusal() is None
    standing.begin()
    standing.succeeded()
    states.append(standing.breaker_state)
    assert states == ["open", "half-open", "closed"]


def test_a_try_that_is_given_up_leaves_room_for_another(clock: Clock) -> None:
    standing = standing_of(clock)
    fail(standing)
    clock.advance(1)
    period = standing.begin()
    clock.advance(5)
    assert standing.refusal() is not None
    standing.gave_up(period)
    assert standing.refusal() is None


def test_the_trouble_of_an_upstream_is_told_as_the_check_tells_it(clock: Clock) -> None:
    standing = standing_of(clock)
    assert standing.trouble is None
    facts = UpstreamFacts("a", "tcp")
    fail(standing, *[refuse("upstream_connect_failed", upstream=facts)] * FAILURES)
    clock.advance(0.4)
    trouble = standing.trouble
    assert trouble is not None
    assert trouble.finding == Finding(
        "a",
        "ws://127.0.0.1/",
        {},
        refuse("upstream_connect_failed", upstream=facts),
        "tcp",
        "ConnectionRefusedError",
    )
    assert trouble.finding.cause == "Nothing listens there; look at the port in the URL."
    assert (trouble.cause.since, trouble.wait) == ("then", 0.6)
    clock.advance(0.6)
    assert standing.trouble is not None
    assert standing.trouble.wait == 0
    standing.succeeded()
    assert standing.trouble is None


def test_an_upstream_without_a_breaker_is_never_passed_over_for_failures(clock: Clock) -> None:
    standing = standing_of(clock, breaker=False)
    fail(standing)
    assert standing.refusal() is None
    standing.gave_up(standing.begin())
    standing.succeeded()
    assert standing.breaker_state == "off"
    assert standing.trouble is None


def test_the_date_is_in_utc_as_rfc_3339_writes_it() -> None:
    standing = Standing(upstream("a"), lambda: 0.5, lambda: 0.0)
    fail(standing)
    refusal = standing.refusal()
    assert refusal is not None
    assert refusal.since is not None
    then = datetime.strptime(refusal.since, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - then) < timedelta(minutes=1)
