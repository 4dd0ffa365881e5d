"""A wrong credential is answered after a while that is always the same."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from relay import Grant, Head, Refusal, Request, refuse
from relay.admission.evenly import EVEN_SECONDS, evenly

REQUEST = Request("req_1", "192.0.2.1", Head("GET", "/v1/realtime", 1, ()))


def answered_at(work: float, verdict: Grant | Refusal) -> float:
    """When there is an answer, if it takes so long to decide."""
    clock = Clock()

    def decide(_: Request) -> Any:
        clock.rightNow += work
        return verdict

    answer: Any = evenly(decide, clock)(REQUEST)
    done: Any = Deferred.fromCoroutine(answer)
    got: list[Any] = []
    done.addCallback(got.append)
    while not got:
        clock.advance(0.001)
    assert got == [verdict]
    return clock.seconds()


@pytest.mark.parametrize("work", [0.0, 0.0001, 0.01, 0.049])
def test_what_is_wrong_takes_as_long_whatever_is_wrong_with_it(work: float) -> None:
    assert answered_at(work, refuse("unauthorized")) == pytest.approx(EVEN_SECONDS, abs=0.0011)


@pytest.mark.parametrize("verdict", [Grant("ann"), refuse("model_not_allowed")])
def test_all_else_is_told_at_once(verdict: Grant | Refusal) -> None:
    assert answered_at(0.0, verdict) == 0


def test_what_takes_longer_waits_no_more() -> None:
    assert answered_at(2.0, refuse("unauthorized")) == 2
