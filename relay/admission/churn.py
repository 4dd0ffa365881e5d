"""
A caller whose sessions keep dying is slowed down: some SDKs open another at once, nine times a
second, without end.
"""

from __future__ import annotations

from collections import deque
from math import inf

SHORT_SECONDS = 5.0
"""A session that ends sooner is a short one."""

WITHIN_SECONDS = 60.0
"""The time in which short sessions count together."""

LONGEST_WAIT = 30.0
"""Seconds."""


class Churn:
    """
    The short sessions of one caller.

    After as many as are allowed, the caller has to wait for a second, then for two, four and so on.
    A session that is not short, or L{WITHIN_SECONDS} without any, makes all good.
    """

    __slots__ = ("_ends", "_until", "_waits")

    def __init__(self) -> None:
        self._ends: deque[float] = deque()
        self._until = -inf
        self._waits = 0

    def wait(self, now: float) -> float:
        """Seconds until the caller may open another session; 0 for now."""
        return max(0.0, self._until - now)

    def ended(self, seconds: float, now: float, allowed: int) -> None:
        """
        A session ended.

        @param seconds: how long it was open.
        @param allowed: short sessions in L{WITHIN_SECONDS} until the caller is slowed; at least 1.
        """
        if seconds >= SHORT_SECONDS:
            self._forgive()
            return
        if self._ends and now - max(self._ends[-1], self._until) > WITHIN_SECONDS:
            self._forgive()
        self._ends.append(now)
        while len(self._ends) > allowed:
            self._ends.popleft()
        many = len(self._ends) == allowed and now - self._ends[0] <= WITHIN_SECONDS
        # Several that were open together may end in the time of one wait: that is one wait only.
        if (many or self._waits) and now >= self._until:
            self._until = now + min(LONGEST_WAIT, 2.0**self._waits)
            self._waits += 1

    def _forgive(self) -> None:
        self._ends.clear()
        self._until = -inf
        self._waits = 0
