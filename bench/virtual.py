"""Time that costs none: what is to happen, in its order."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Act = Callable[..., object]


class VirtualTime:
    """
    A clock that moves only from one event to the next. What is due in the same moment happens in
    the order in which it was asked for, so that a run depends on its seed alone.

    @ivar now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._asked = 0

    def seconds(self) -> float:
        """The time, as the relay's own classes ask for it."""
        return self.now

    def after(self, seconds: float, act: Act, *arguments: Any) -> None:
        """Have something happen later; C{seconds} is 0 or more."""
        self._asked += 1
        heappush(self._due, (self.now + seconds, self._asked, act, arguments))

    def run(self, until: float) -> None:
        """Let all happen that is due before this time."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, act, arguments = heappop(due)
            act(*arguments)
