"""When a worker that ended is begun anew."""

from __future__ import annotations

LONG_SECONDS = 60.0
"""A worker that lived so long ended for a reason of its own, not because it cannot live."""

FIRST_SECONDS, MOST_SECONDS = 0.5, 30.0


class Restarts:
    """The waits of one worker's place: none, then twice as long each time."""

    def __init__(self) -> None:
        self._ends = 0

    def wait(self, lived: float) -> float:
        """
        Seconds until it is begun anew.

        @param lived: seconds that it had lived.
        """
        self._ends = 0 if lived >= LONG_SECONDS else self._ends
        wait = min(MOST_SECONDS, FIRST_SECONDS * 2 ** (self._ends - 1)) if self._ends else 0.0
        self._ends = min(self._ends + 1, 10)
        return wait
