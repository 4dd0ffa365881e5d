"""The watchdog sees a turn that is too long, and whose doing it was."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from chaos.probe import ALARM, Turns


class Poller:
    """Finds something at once."""

    name = "epoll"

    def poll(self, *arguments: Any) -> list[Any]:
        return list(arguments)


@pytest.fixture
def turns() -> Iterator[Turns]:
    before = signal.getsignal(signal.SIGPROF)
    yield Turns(Poller())
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def work() -> None:
    """Use twice as much CPU as is noted."""
    end = time.thread_time() + 2 * ALARM
    while time.thread_time() < end:
        pass


def test_work_counts_as_cpu_and_its_stack_is_noted(turns: Turns) -> None:
    turns.poll()
    work()
    turns.poll()
    assert turns.count == 1
    assert turns.cpu >= 2 * ALARM
    ((seconds, stack),) = turns.long
    assert seconds == turns.cpu
    assert "in work" in "".join(stack)


def test_waiting_counts_as_wall_time_and_not_as_cpu(turns: Turns) -> None:
    turns.poll()
    time.sleep(2 * ALARM)
    turns.poll()
    assert turns.cpu < ALARM
    assert turns.kept >= ALARM
    assert turns.wall >= 2 * ALARM


def test_the_poll_is_no_part_of_a_turn(turns: Turns) -> None:
    turns.poll()
    turns.poll()
    turns.spare()
    work()
    turns.poll()
    assert turns.count == 1
    assert turns.cpu < ALARM


def test_a_new_measurement_forgets_the_last_one(turns: Turns) -> None:
    turns.poll()
    work()
    turns.poll()
    turns.forget()
    turns.poll()
    assert (turns.count, turns.cpu, turns.long) == (0, 0.0, [])


def test_the_probe_passes_all_other_calls_to_the_poller(turns: Turns) -> None:
    assert turns.name == "epoll"
    assert turns.poll(1, 2) == [1, 2]
