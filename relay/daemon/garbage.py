"""
Python's garbage collector, in a process that holds thousands of sessions.

By default it goes through all objects each time their number has grown by a quarter. At 9,500
sessions that takes 130 ms, and nothing is relayed meanwhile. The relay does not need it: neither a
closed session nor a refused hold leaves a reference cycle.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.timing.deadline import Deadline

YOUNG, MIDDLE, NEVER = 2_000, 1, 1_000_000_000
"""
Thresholds (L{gc.set_threshold}). Young objects are collected when there are 2,000 new ones, which
takes about 1 ms beside 9,500 sessions; with 10,000, pauses of 70 ms were seen. The middle one
is collected at every second time: it has few objects then, because a thousand TLS connections made
in one moment are many. Old objects are never collected by themselves.
"""

FEW = 250
"""
Most holds and sessions at which everything is collected. That takes 4 ms; where other processes
share the cores, five times as long was seen.
"""

QUIET_SECONDS = 60.0
"""Seconds between two checks for that."""


class Garbage:
    """
    The collector's settings. They are global to the process, so only the daemon may use this.

    @param served: tells how many holds and sessions there are.
    """

    def __init__(self, clock: IReactorTime, served: Callable[[], int]) -> None:
        self._served = served
        self._next = Deadline(clock)
        self._before = gc.get_threshold()

    def start(self) -> None:
        """Never collect what exists already; collect old objects only when few are served."""
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
        """Put all settings back as they were."""
        self._next.clear()
        gc.set_threshold(*self._before)
        gc.unfreeze()
