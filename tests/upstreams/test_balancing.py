"""Which upstreams are tried, in which order, and which are passed over."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from relay import Upstream
from relay.rules.refusals import refuse
from relay.upstreams.balancing import Balancer, Standing
from relay.upstreams.breaker import FAILURES, INTERVAL


def upstream(name: str, **options: Any) -> Upstream:
    return Upstream("ws://127.0.0.1/", name, **options)


def balancer(*upstreams: Upstream) -> Balancer:
    return Balancer(upstreams, random.Random(7).random)


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
    assert {tuple(names(among.order("m"))) for _ in range(100)} == {("a", "b", "c")}


def test_upstreams_of_one_priority_share_by_weight() -> None:
    among = balancer(upstream("one"), upstream("three", weight=3))
    first = Counter(names(among.order(None))[0] for _ in range(10_000))
    assert 0.23 < first["one"] / 10_000 < 0.27


@pytest.mark.parametrize("lot", [0.0, 1 - 2**-53])
def test_the_ends_of_the_random_range_are_no_error(lot: float) -> None:
    among = Balancer([upstream("a"), upstream("b")], lambda: lot)
    assert len(among.order(None)) == 2


def test_only_upstreams_that_take_the_model_are_tried() -> None:
    among = balancer(upstream("any"), upstream("some", models={"m": "x"}, priority=1))
    assert names(among.order("m")) == ["any", "some"]
    assert names(among.order("n")) == ["any"]
    assert names(among.order(None)) == ["any", "some"]


def test_a_full_upstream_is_passed_over_until_a_connection_ends() -> None:
    standing = Standing(upstream("a", max_sessions=1))
    assert standing.refusal(0) is None
    standing.begin(0)
    refusal = standing.refusal(0)
    assert refusal is not None
    assert refusal.code == "relay_full"
    assert refusal.upstream is not None
    assert refusal.upstream.name == "a"
    standing.end()
    assert standing.refusal(0) is None


def test_an_open_breaker_is_passed_over_for_the_rest_of_its_interval() -> None:
    standing = Standing(upstream("a"))
    for _ in range(FAILURES):
        standing.failed(refuse("upstream_timeout"), 0)
    refusal = standing.refusal(INTERVAL - 2.5)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == ("upstream_unavailable", 3)
    assert standing.refusal(INTERVAL) is None
    standing.begin(INTERVAL)
    standing.succeeded()
    assert standing.breaker_state == "closed"


def test_an_upstream_without_a_breaker_is_never_passed_over_for_failures() -> None:
    standing = Standing(upstream("a", breaker=False))
    for _ in range(FAILURES):
        standing.begin(0)
        standing.failed(refuse("upstream_timeout"), 0)
    assert standing.refusal(0) is None
    standing.succeeded()
    assert standing.breaker_state == "off"
