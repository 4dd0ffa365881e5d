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


def test_what_takes_no_time_is_done_at_once(clock: Reactor, turns: Turns, done: list[int]) -> None:
    for number in range(100):
        assert turns.do(partial(done.append, number))
    assert done == list(range(100))
    assert clock.getDelayedCalls() == []


def test_each_turn_does_its_share_in_order(
    clock: Reactor, turns: Turns, work: Work, done: list[int]
) -> None:
    assert [turns.do(work(number)) for number in range(5)] == [True, True, False, False, False]
    assert done == [0, 1]
    clock.turn()
    assert done == [0, 1, 2, 3]
    assert not turns.do(work(5)), "one still waits"
    clock.turn()
    assert done == [0, 1, 2, 3, 4, 5]


def test_a_new_turn_has_a_new_share(clock: Reactor, turns: Turns, work: Work) -> None:
    for number in range(5):
        assert turns.do(work(2 * number))
        assert turns.do(work(2 * number + 1))
        clock.turn()
    assert clock.getDelayedCalls() == []


def test_what_is_for_later_is_not_done_now(clock: Reactor, turns: Turns, done: list[int]) -> None:
    turns.later(partial(done.append, 1))
    assert done == []
    clock.turn()
    assert done == [1]


def test_what_adds_to_itself_does_not_take_the_turn(clock: Reactor, turns: Turns) -> None:
    times = 0

    def again() -> None:
        nonlocal times
        times += 1
        turns.later(again)

    again()
    for _ in range(3):
        clock.turn()
    assert times == 4


def test_what_is_forgotten_is_not_done(clock: Reactor, turns: Turns, done: list[int]) -> None:
    first, second = (partial(done.append, number) for number in (1, 2))
    turns.later(first)
    turns.later(second)
    turns.forget(first)
    turns.forget(first)
    clock.turn()
    assert done == [2]


def test_one_may_be_the_end_of_another(clock: Reactor, turns: Turns, done: list[int]) -> None:
    other = partial(done.append, 1)
    turns.later(lambda: turns.forget(other))
    turns.later(other)
    clock.turn()
    assert done == []
    assert clock.getDelayedCalls() == []


def test_nothing_runs_when_all_is_forgotten(clock: Reactor, turns: Turns) -> None:
    turns.later(print)
    turns.forget(print)
    assert clock.getDelayedCalls() == []


def test_work_that_raises_keeps_nobody_waiting(
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


def test_what_comes_is_taken_at_once(turns: Turns) -> None:
    taken: list[bytes] = []
    inflow = Inflow(turns, taken.append)
    transport = Transport()
    inflow.received(transport, b"one")
    inflow.received(transport, b"two")
    assert taken == [b"one", b"two"]
    assert not transport.paused


def test_what_must_wait_pauses_the_transport(clock: Reactor, turns: Turns) -> None:
    taken: list[bytes] = []
    inflow = Inflow(turns, taken.append)
    transport = Transport()
    turns.later(lambda: None)
    inflow.received(transport, b"one")
    inflow.received(transport, b"two")
    assert (taken, transport.paused) == ([], True)
    clock.turn()
    assert (taken, transport.paused) == ([b"onetwo"], False)


def test_what_was_not_taken_at_the_end_is_returned(clock: Reactor, turns: Turns) -> None:
    taken: list[bytes] = []
    inflow = Inflow(turns, taken.append)
    transport = Transport()
    turns.later(lambda: None)
    inflow.received(transport, b"one")
    assert inflow.end() == b"one"
    clock.turn()
    assert (taken, transport.paused) == ([], True)
