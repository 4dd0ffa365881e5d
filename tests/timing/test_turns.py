"""Each turn does a share of the work, and later ones the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from twisted.internet.task import Clock

from relay.timing.turns import TURN_SECONDS, Inflow, Turns


class Reactor(Clock):
    """As a reactor has it, what is to be called at once is called in the next turn."""

    def turn(self) -> None:
        """Call what waits now."""
        calls, self.calls = self.calls, []
        for call in calls:
            call.called = True
            call.func(*call.args, **call.kw)


@pytest.fixture
def clock() -> Reactor:
    return Reactor()


@pytest.fixture
def turns(clock: Reactor) -> Turns:
    return Turns(clock)


@pytest.fixture
def done() -> list[int]:
    return []


@pytest.fixture
def work(clock: Reactor, done: list[int]) -> Callable[[int], Callable[[], None]]:
    """Work by number, of which each takes half a share."""

    def begin(number: int) -> None:
        clock.rightNow += TURN_SECONDS / 2
        done.append(number)

    return lambda number: partial(begin, number)


Work = Callable[[int], Callable[[], None]]


def test_work_that_takes_no_time_is_done_in_one_turn(
    clock: Reactor, turns: Turns, done: list[int]
) -> None:
    for number in range(100):
        assert turns.do(partial(done.append, number))
    assert done == list(range(100))
    assert clock.getDelayedCalls() == []


def test_each_turn_does_its_share_of_the_work_in_order(
    clock: Reactor, turns: Turns, work: Work, done: list[int]
) -> None:
    assert [turns.do(work(number)) for number in range(5)] == [True, True, False, False, False]
    assert done == [0, 1]
    clock.turn()
    assert done == [0, 1, 2, 3]
    assert not turns.do(work(5)), "one still waits"
    clock.turn()
    assert done == [0, 1, 2, 3, 4, 5]


def test_each_new_turn_has_a_new_share_of_time(clock: Reactor, turns: Turns, work: Work) -> None:
    for number in range(5):
        assert turns.do(work(2 * number))
        assert turns.do(work(2 * number + 1))
        clock.turn()
    assert clock.getDelayedCalls() == []


def test_work_for_later_is_not_done_in_this_turn(
    clock: Reactor, turns: Turns, done: list[int]
) -> None:
    turns.later(partial(done.append, 1))
    assert done == []
    clock.turn()
    assert done == [1]


def test_work_that_adds_work_does_not_take_the_whole_turn(clock: Reactor, turns: Turns) -> None:
    times = 0

    def again() -> None:
        nonlocal times
        times += 1
        turns.later(again)

    again()
    for _ in range(3):
        clock.turn()
    assert times == 4


def test_forgotten_work_is_not_done(clock: Reactor, turns: Turns, done: list[int]) -> None:
    first, second = (partial(done.append, number) for number in (1, 2))
    turns.later(first)
    turns.later(second)
    turns.forget(first)
    turns.forget(first)
    clock.turn()
    assert done == [2]


def test_work_may_forget_other_work(clock: Reactor, turns: Turns, done: list[int]) -> None:
    other = partial(done.append, 1)
    turns.later(lambda: turns.forget(other))
    turns.later(other)
    clock.turn()
    assert done == []
    assert clock.getDelayedCalls() == []


def test_when_all_work_is_forgotten_no_turn_runs(clock: Reactor, turns: Turns) -> None:
    turns.later(print)
    turns.forget(print)
    assert clock.getDelayedCalls() == []


def test_work_that_raises_does_not_stop_other_work(
    clock: Reactor, turns: Turns, work: Work, done: list[int]
) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    assert turns.do(broken)
    for number in range(3):
        turns.later(broken)
        turns.later(work(number))
    for _ in range(4):
        clock.turn()
    assert done == [0, 1, 2]


class Transport:
    """
    @ivar paused: whether it does not read.
    """

    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False


def test_input_is_taken_at_once_when_no_work_waits(turns: Turns) -> None:
    taken: list[bytes] = []
    inflow = Inflow(turns, taken.append)
    transport = Transport()
    inflow.received(transport, b"one")
    inflow.received(transport, b"two")
    assert taken == [b"one", b"two"]
    assert not transport.paused


def test_input_that_must_wait_pauses_the_transport(clock: Reactor, turns: Turns) -> None:
    taken: list[bytes] = []
    inflow = Inflow(turns, taken.append)
    transport = Transport()
    turns.later(lambda: None)
    inflow.received(transport, b"one")
    inflow.received(transport, b"two")
    assert (taken, transport.paused) == ([], True)
    clock.turn()
    assert (taken, transport.paused) == ([b"onetwo"], False)


def test_input_that_was_not_taken_at_the_end_is_returned(clock: Reactor, turns: Turns) -> None:
    taken: list[bytes] = []
    inflow = Inflow(turns, taken.append)
    transport = Transport()
    turns.later(lambda: None)
    inflow.received(transport, b"one")
    assert inflow.end() == b"one"
    clock.turn()
    assert (taken, transport.paused) == ([], True)
