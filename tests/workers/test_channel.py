"""The two ends of the socket between a worker and its parent, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from relay.daemon.workers.channel import SECONDS, Channel, NoAnswer


@define
class Ends:
    """Both ends; what one writes the other gets when the test says so."""

    here: Channel
    there: Channel
    clock: Clock
    lost: list[str]

    def cross(self) -> None:
        while any(transport(end).value() for end in (self.here, self.there)):
            for one, other in ((self.here, self.there), (self.there, self.here)):
                said = transport(one).value()
                transport(one).clear()
                other.dataReceived(said)

    def lose(self) -> None:
        self.here.connectionLost(Failure(ConnectionDone()))


def transport(end: Channel) -> StringTransport:
    assert isinstance(end.transport, StringTransport)
    return end.transport


def ends(does: Mapping[str, Callable[..., object]]) -> Ends:
    clock, lost = Clock(), list[str]()
    here = Channel({}, clock, lambda: lost.append("here"))
    there = Channel(does, clock, lambda: lost.append("there"))
    for end in (here, there):
        end.makeConnection(StringTransport())
    return Ends(here, there, clock, lost)


@define
class Result:
    """What became of a Deferred."""

    values: list[Any] = field(factory=list)

    @classmethod
    def of(cls, deferred: Deferred[Any]) -> Result:
        result = cls()
        deferred.addBoth(result.values.append)
        return result

    @property
    def failed(self) -> bool:
        return isinstance(self.values[0], Failure) and bool(self.values[0].check(NoAnswer))


def test_what_is_told_is_done_in_order() -> None:
    done: list[tuple[Any, ...]] = []
    both = ends(
        {"a": lambda *values: done.append(("a", *values)), "b": lambda: done.append(("b",))}
    )
    both.here.tell("a", 1, {"é": None})
    both.here.tell("b")
    both.cross()
    assert done == [("a", 1, {"é": None}), ("b",)]


def test_who_asks_gets_the_answer_to_its_own_question() -> None:
    both = ends({"double": lambda n: 2 * n})
    results = [Result.of(both.here.ask("double", n)) for n in (1, 2)]
    both.cross()
    assert [result.values for result in results] == [[2], [4]]


def test_what_fails_there_is_no_answer_and_is_logged_there() -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)  # type: ignore[arg-type]
    try:
        both = ends({"fail": lambda: 1 // 0})
        result = Result.of(both.here.ask("fail"))
        both.cross()
    finally:
        globalLogPublisher.removeObserver(logged.append)  # type: ignore[arg-type]
    assert result.failed
    assert [each["log_level"] for each in logged] == [LogLevel.critical]


def test_an_answer_that_takes_too_long_is_none_and_is_not_heard_later() -> None:
    both = ends({"late": lambda: 1})
    result = Result.of(both.here.ask("late"))
    both.clock.advance(SECONDS)
    both.clock.advance(0)
    assert result.failed
    both.cross()
    assert len(result.values) == 1


def test_no_answer_comes_from_a_process_that_is_gone() -> None:
    both = ends({})
    result = Result.of(both.here.ask("anything"))
    both.lose()
    assert result.failed
    assert both.lost == ["here"]
    both.here.tell("more")
    assert not both.clock.getDelayedCalls()


@pytest.mark.parametrize("size", [0, 100_000])
def test_what_is_long_crosses_too(size: int) -> None:
    heard: list[str] = []
    both = ends({"hear": heard.append})
    both.here.tell("hear", "x" * size)
    both.cross()
    assert heard == ["x" * size]


def test_it_knows_when_the_other_does_not_read() -> None:
    both = ends({})
    producer: Any = transport(both.here).producer
    producer.pauseProducing()
    assert both.here.is_full
    producer.resumeProducing()
    assert not both.here.is_full
