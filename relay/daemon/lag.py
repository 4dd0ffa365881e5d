"""How late the reactor is: what every session waits for, whatever it is that takes so long."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

EACH_SECONDS = 1.0
"""Seconds from one look to the next."""


class Lag:
    """
    Asks the reactor for a call each second, and tells how much later that came.

    @param told: called with the seconds, 0 or more.
    """

    def __init__(self, clock: IReactorTime, told: Callable[[float], object]) -> None:
        self._clock = clock
        self._told = told
        self._due = 0.0
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Ask for the next call."""
        self._due = self._clock.seconds() + EACH_SECONDS
        self._call = self._clock.callLater(EACH_SECONDS, self._look)

    def _look(self) -> None:
        self._told(max(0.0, self._clock.seconds() - self._due))
        self.start()

    def stop(self) -> None:
        """Ask for no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
