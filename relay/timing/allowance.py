"""A token bucket: so much at once, and so much in the long run."""

from __future__ import annotations

from math import inf


class Allowance:
    """
    A token bucket whose rate and size may differ from call to call. It starts full.

    All times are seconds by one monotonic clock.
    """

    __slots__ = ("_paid",)

    def __init__(self) -> None:
        self._paid = -inf  # the time at which the rate allows for all that was spent

    def spend(self, count: float, now: float, rate: float, burst: float) -> float:
        """
        Take tokens, more than there are if need be.

        @param rate: tokens a second, more than 0.
        @param burst: tokens in a full bucket.
        @return: seconds until the bucket has no debt any more; 0 if it has none.
        """
        self._paid = max(self._paid, now) + count / rate
        return max(0.0, self._paid - now - burst / rate)

    def take(self, count: float, now: float, rate: float, burst: float) -> float:
        """
        Take tokens, if there are as many.

        @return: 0 if they were taken; else the seconds until there are as many.
        """
        paid = max(self._paid, now) + count / rate
        # Sums of fractions of seconds are not exact.
        wait = paid - now - burst / rate
        if wait > 1e-6:
            return wait
        self._paid = paid
        return 0.0
