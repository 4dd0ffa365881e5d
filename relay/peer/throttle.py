"""Read a peer that floods no faster than the others can bear."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.timing.allowance import Allowance
from relay.timing.deadline import Deadline

RATE = 1000
"""
Control frames a second that one peer may send in the long run. Today's clients send one in 20 s.
"""

BURST = 100
"""Control frames that a peer may send at once without being slowed down."""


class Throttle:
    """
    An allowance of control frames: a token bucket of L{BURST}, filled at L{RATE}.

    Control frames need one, because each costs an answer and carries nothing for the other side.

    @param over: called when reading may go on.
    """

    __slots__ = ("_allowance", "_clock", "_over", "_pause")

    def __init__(self, clock: IReactorTime, over: Callable[[], object]) -> None:
        self._clock = clock
        self._over = over
        self._allowance = Allowance()
        self._pause = Deadline(clock)

    @property
    def is_set(self) -> bool:
        """Whether the peer is not to be read now."""
        return self._pause.is_set

    def spend(self, count: int) -> bool:
        """Take C{count} frames off the allowance; return whether reading has to pause now."""
        debt = self._allowance.spend(count, self._clock.seconds(), RATE, BURST)
        if debt > 0:
            self._pause.set(debt, self._over)
        return debt > 0

    def stop(self) -> None:
        """The connection is gone."""
        self._pause.clear()
