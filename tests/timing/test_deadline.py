"""A deadline fires once, when it was set and its time is up."""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from relay.timing.deadline import Deadline, limit
from relay.timing.turns import Turns


@dataclass
class Timed:
    """A deadline that notes when it fired."""

    clock: Clock = field(default_factory=Clock)
    fired: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.deadline = Deadline(self.clock)

    def set(self, seconds: float) -> None:
        self.deadline.set(seconds, self.fire)

    def fire(self) -> None:
        self.fired.append(self.clock.seconds())


def test_a_deadline_fires_once_in_time() -> None:
    timed = Timed()
    timed.set(2.0)
    assert timed.deadline.is_set
    timed.clock.pump([1.5, 0.5, 5.0])
    assert timed.fired == [2.0]
    assert not timed.deadline.is_set


def test_a_deadline_that_was_not_set_does_nothing() -> None:
    timed = Timed()
    timed.deadline.clear()
    timed.clock.advance(9)
    assert (timed.fired, timed.deadline.is_set) == ([], False)


def test_a_cleared_deadline_does_not_fire() -> None:
    timed = Timed()
    timed.set(2.0)
    timed.deadline.clear()
    timed.deadline.clear()
    assert not timed.deadline.is_set
    assert timed.clock.getDelayedCalls() == []


def test_a_deadline_that_is_set_again_moves() -> None:
    timed = Timed()
    timed.set(2.0)
    timed.clock.advance(1.0)
    timed.set(2.0)
    assert len(timed.clock.getDelayedCalls()) == 1
    timed.clock.pump([1.5, 0.5])
    assert timed.fired == [3.0]


def test_a_deadline_that_is_moved_to_sooner_fires_sooner() -> None:
    timed = Timed()
    timed.set(9.0)
    timed.set(1.0)
    timed.clock.advance(1.0)
    assert timed.fired == [1.0]


def test_a_deadline_can_be_used_again() -> None:
    timed = Timed()
    for _ in range(2):
        timed.set(1.0)
        timed.clock.advance(1.0)
    assert timed.fired == [1.0, 2.0]


def test_a_deadline_can_be_set_and_cleared_while_it_fires() -> None:
    clock = Clock()
    fired: list[float] = []

    def act() -> None:
        fired.append(clock.seconds())
        deadline.clear()
        if len(fired) < 3:
            deadline.set(1.0, act)

    deadline = Deadline(clock)
    deadline.set(1.0, act)
    clock.pump([1.0] * 5)
    assert fired == [1.0, 2.0, 3.0]
    assert clock.getDelayedCalls() == []


def test_a_deadline_calls_what_was_set_last() -> None:
    timed = Timed()
    timed.set(1.0)
    other: list[str] = []
    timed.deadline.set(2.0, lambda: other.append("other"))
    timed.clock.advance(2.0)
    assert (timed.fired, other) == ([], ["other"])


def test_a_deadline_keeps_its_callback_alive_only_while_it_runs() -> None:
    timed = Timed()
    timed.set(1.0)
    timed.deadline.clear()
    timed.set(1.0)
    timed.clock.advance(1.0)
    kept = ref(timed)
    clock, deadline = timed.clock, timed.deadline
    del timed
    assert kept() is None
    assert (clock.getDelayedCalls(), deadline.is_set) == ([], False)


class Reactor(Clock):
    """As a reactor has it: it looks at its timers, and then reads; what is set now is for later."""

    def turn(self) -> None:
        """Call what is due now."""
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            self.calls.remove(call)
            call.called = True
            call.func(*call.args, **call.kw)


def test_after_a_stop_of_the_process_reading_comes_before_the_deadline() -> None:
    reactor, fired = Reactor(), []
    deadline = Deadline(reactor)
    deadline.set(2.0, lambda: fired.append("late"))
    reactor.rightNow = 60.0
    reactor.turn()
    assert fired == [], "here it reads"
    deadline.clear()
    reactor.turn()
    assert fired == []


def test_a_deadline_of_no_time_fires_in_the_next_turn() -> None:
    reactor, fired = Reactor(), []
    deadline = Deadline(reactor)
    deadline.set(0, lambda: fired.append("now"))
    reactor.turn()
    assert fired == ["now"]


# -- the time for a Deferred ---------------------------------------------------------------


class Late(Exception):
    pass


def limited(clock: Clock) -> tuple[Deferred[str], list[object]]:
    """One that has two seconds, and what becomes of it."""
    waited_for: Deferred[str] = Deferred()
    limit(waited_for, 2.0, clock, Late, Turns(clock).do)
    told: list[object] = []
    waited_for.addCallbacks(told.append, lambda failure: told.append(failure.type))
    return waited_for, told


def test_a_result_that_comes_in_time_is_told_as_it_is() -> None:
    clock = Clock()
    for result, expected in (("here", "here"), (Failure(KeyError()), KeyError)):
        waited_for, told = limited(clock)
        clock.advance(1.9)
        waited_for.callback(result)
        assert told == [expected]
    assert clock.getDelayedCalls() == []


def test_a_result_that_does_not_come_in_time_is_cancelled() -> None:
    clock = Clock()
    _, told = limited(clock)
    clock.advance(2.0)
    assert told == [Late]
    assert clock.getDelayedCalls() == []


def test_what_came_in_time_and_waits_for_its_turn_is_in_time() -> None:
    clock = Clock()
    turns = Turns(clock)
    waited_for: Deferred[str] = Deferred()
    limit(waited_for, 2.0, clock, Late, turns.do)
    clock.advance(1.9)
    told: list[object] = []
    waited_for.addBoth(told.append)

    def work() -> None:
        clock.rightNow += 1.0

    for _ in range(3):
        turns.later(work)
    turns.later(lambda: waited_for.callback("here"))
    clock.pump([0.0] * 4)
    assert told == ["here"]
    assert clock.getDelayedCalls() == []


def test_a_result_that_comes_while_the_process_is_stopped_is_in_time() -> None:
    reactor = Reactor()
    waited_for, told = limited(reactor)
    reactor.rightNow = 60.0
    reactor.turn()
    waited_for.callback("read first")
    reactor.turn()
    assert told == ["read first"]
