"""Read a peer that floods no faster than the others can bear."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.timing.deadline import Deadline

RATE = 1000
"""Control frames of one peer in a second, in the long run. Those of today send one in 20 s."""

BURST = 100
"""So many at once cost a peer nothing."""


class Throttle:
    """
    An allowance of control frames (a token bucket), which are answered one by one and carry nothing
    for the other side.

    @param over: called when reading may go on.
    """

    __slots__ = ("_clock", "_over", "_paid", "_pause")

    def __init__(self, clock: IReactorTime, over: Callable[[], object]) -> None:
        self._clock = clock
        self._over = over
        self._paid = 0.0  # by the clock: when all that came would be allowed for
        self._pause = Deadline(clock)

    @property
    def is_set(self) -> bool:
        """Whether nothing is to be read now."""
        return self._pause.is_set

    def spend(self, count: int) -> bool:
        """So many came; return whether that is too much for now."""
        now = self._clock.seconds()
        self._paid = max(self._paid, now) + count / RATE
        debt = self._paid - now - BURST / RATE
        if debt > 0:
            self._pause.set(debt, self._over)
        return debt > 0

    def stop(self) -> None:
        """The connection is gone."""
        self._pause.clear()
