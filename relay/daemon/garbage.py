"""
Python's garbage collector, in a process that holds thousands of sessions.

By itself it goes through all objects each time their number has grown by a quarter, which takes
130 ms at 9,500 sessions, and nobody is relayed meanwhile. What ends here ends without it: neither a
closed session nor a refused hold leaves a reference cycle.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.timing.deadline import Deadline

YOUNG, MIDDLE, NEVER = 10_000, 4, 1_000_000_000
"""
Thresholds (L{gc.set_threshold}): the young are looked through when there are 10,000 more of them,
which takes some 2 ms; those that survived four times of that, some 10 ms; the old ones never.
"""

FEW = 1000
"""Holds and sessions among which all may be collected: it takes 15 ms, and nobody notices."""

QUIET_SECONDS = 60.0
"""Between two looks whether there are so few."""


class Garbage:
    """
    The collector's settings, which are the process's: for the daemon only.

    @param served: how many holds and sessions there are.
    """

    def __init__(self, clock: IReactorTime, served: Callable[[], int]) -> None:
        self._served = served
        self._next = Deadline(clock)
        self._before = gc.get_threshold()

    def start(self) -> None:
        """Leave alone what is there already, which stays, and collect the old ones by request."""
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        self._wait()

    def _wait(self) -> None:
        self._next.set(QUIET_SECONDS, self._look)

    def _look(self) -> None:
        if self._served() <= FEW:
            gc.collect()
        self._wait()

    def stop(self) -> None:
        """All as it was."""
        self._next.clear()
        gc.set_threshold(*self._before)
        gc.unfreeze()
