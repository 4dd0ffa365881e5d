"""
Share the reactor's turns between connections.

The reactor does in one turn all that its poll has found: with a thousand connections a turn would
take as long as their work together, and whoever has a word to say would wait for all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.deadline import Deadline

SHARE = 0.008
"""Seconds of one turn for one kind of work."""


class Turns:
    """
    Work of one kind, of which each turn does a share, and later ones the rest, in order.

    @param clock: whose turns these are.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next = Deadline(clock)

    def do(self, work: Callable[[], None]) -> bool:
        """
        Do it now, or later if this turn has had its share.

        @param work: must not raise.
        @return: whether it is done.
        """
        if self._waiting or self._spent >= SHARE:
            self.later(work)
            return False
        self._do(work)
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Do it in a later turn."""
        self._waiting.append(work)
        self._go_on()

    def _do(self, work: Callable[[], None]) -> None:
        began = self._clock.seconds()
        work()
        spent = self._clock.seconds() - began
        if spent:
            self._spent += spent
            self._go_on()

    def _go_on(self) -> None:
        if not self._next.is_set:
            self._next.set(0, self._turn)

    def _turn(self) -> None:
        self._spent = 0.0
        for _ in range(len(self._waiting)):  # what these add is for the next turn
            if self._spent >= SHARE:
                break
            self._do(self._waiting.popleft())
        if self._waiting:
            self._go_on()
