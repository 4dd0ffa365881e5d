"""Who took how much of the reactor's time lately, so that those wait who took most."""

from __future__ import annotations

AGE_SECONDS = 0.2
"""How long it is remembered what lines took, at least; at most twice as long."""

HEAVY_SECONDS = AGE_SECONDS / 100
"""Seconds that a line may take in L{AGE_SECONDS} before it is crowded for the others."""


class Shares:
    """
    Seconds that lines took, by the numbers of their sockets.

    @ivar used: those of this age. Whoever serves a line adds to it.
    @ivar is_crowded: whether lines have to wait for each other, in this age or the last.
    """

    def __init__(self) -> None:
        self.used: dict[int, float] = {}
        self.is_crowded = False
        self._used_before: dict[int, float] = {}
        self._again = False
        self._aged = 0.0

    def age(self, now: float) -> None:
        """Time has passed: forget what lines took long ago."""
        if now >= self._aged + AGE_SECONDS:
            self._aged = now
            self.used, self._used_before = {}, self.used
            self.is_crowded, self._again = self._again, False

    def crowd(self) -> None:
        """A line took more than L{HEAVY_SECONDS}, or there was no time for all."""
        self.is_crowded = self._again = True

    def forget(self, number: int) -> None:
        """Another line will have this number. It must not pay for this one."""
        self.used.pop(number, None)
        self._used_before.pop(number, None)

    def taken(self, ready: tuple[int, int]) -> float:
        """
        What a line took lately.

        @param ready: its number, and anything else.
        """
        number = ready[0]
        return self.used.get(number, 0.0) + self._used_before.get(number, 0.0)
