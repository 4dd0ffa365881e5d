"""Work that is done once for all who want it at the same time."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from relay.timing.flight import Flights


class Scene:
    """Flights, and the work that they began."""

    def __init__(self) -> None:
        self.flights: Flights[str, int] = Flights()
        self.begun: list[Deferred[int]] = []
        self.told: list[object] = []

    def join(self, key: str = "a") -> Deferred[int]:
        waits = self.flights.join(key, self._begin)
        waits.addBoth(self.told.append)
        return waits

    def _begin(self) -> Deferred[int]:
        self.begun.append(Deferred())
        return self.begun[-1]


def test_work_is_begun_once_and_told_to_all() -> None:
    scene = Scene()
    scene.join()
    scene.join()
    assert len(scene.begun) == 1
    scene.begun[0].callback(7)
    assert scene.told == [7, 7]
    assert len(scene.flights) == 0
    scene.join()
    assert len(scene.begun) == 2


def test_work_for_something_else_is_other_work() -> None:
    scene = Scene()
    scene.join("a")
    scene.join("b")
    assert len(scene.begun) == 2


def test_a_failure_is_told_to_all() -> None:
    scene = Scene()
    scene.join()
    scene.join()
    scene.begun[0].errback(Failure(ValueError("no")))
    assert [type(each.value) for each in scene.told if isinstance(each, Failure)] == [
        ValueError,
        ValueError,
    ]
    assert len(scene.flights) == 0


def test_who_leaves_disturbs_nobody_and_the_last_ends_the_work() -> None:
    scene = Scene()
    first, second = scene.join(), scene.join()
    first.cancel()
    assert not scene.begun[0].called
    second.cancel()
    assert [each.check(CancelledError) for each in scene.told if isinstance(each, Failure)]
    assert scene.begun[0].called, "cancelled"
    assert len(scene.flights) == 0
    scene.join()
    assert len(scene.begun) == 2


def test_work_that_is_done_at_once_is_told_at_once() -> None:
    flights: Flights[str, int] = Flights()
    told: list[int] = []
    flights.join("a", lambda: succeed(1)).addCallback(told.append)
    flights.join("a", lambda: succeed(2)).addCallback(told.append)
    assert told == [1, 2]
    assert len(flights) == 0
