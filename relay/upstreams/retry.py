"""
When an upstream that failed is tried once more within the same hold.

A retry helps against what is over at once, and makes worse what is not: so it is rare, and only
where upstream cannot have begun to work.

Source: Google's "Site Reliability Engineering", 21 (retry budgets).
"""

from __future__ import annotations

from collections import deque

from relay.rules.refusals import Refusal

SHARE = 0.1
"""Retries to holds, at most."""

LEAST = 3
"""Retries in the window that few holds may have too; at 20 holds a second they are one in 66."""

WINDOW = 10
"""Seconds that are looked back on."""

PATIENCE = 1
"""Seconds that an upstream may ask to wait for a retry."""

_FAILING = frozenset({502, 503, 504})


def delay_of(refusal: Refusal) -> float | None:
    """
    Seconds after which the same upstream may be tried again in the same hold; L{None} for never.

    Safe are a connection that was reset or closed where an answer should have come, HTTP 502, 503
    and 504, and whatever else says C{Retry-After} with a second at most. A refused port, a name, a
    certificate or a deadline would only fail again.
    """
    facts = refusal.upstream
    if facts is None or not refusal.retryable:
        return None
    asked = refusal.retry_after
    if asked is not None:
        return float(asked) if asked <= PATIENCE else None
    dropped = refusal.code == "upstream_connect_failed" and facts.stage in (
        "upgrade",
        "first_event",
    )
    return 0.0 if dropped or facts.status in _FAILING else None


class RetryBudget:
    """
    Retries are at most L{SHARE} of the holds of the last L{WINDOW} seconds.

    @param least: or so many, where that is more.
    """

    def __init__(self, least: int = LEAST) -> None:
        self._least = least
        self._seconds: deque[list[int]] = deque()  # each a second, its holds and its retries

    def hold(self, now: float) -> None:
        """A hold begins."""
        self._this(now)[1] += 1

    def take(self, now: float) -> bool:
        """Whether there may be a retry now, which is then counted."""
        this = self._this(now)
        holds = sum(second[1] for second in self._seconds)
        retries = sum(second[2] for second in self._seconds)
        if retries + 1 > max(self._least, SHARE * holds):
            return False
        this[2] += 1
        return True

    def _this(self, now: float) -> list[int]:
        """The current second's counts; those that are too old are dropped."""
        seconds, this = self._seconds, int(now)
        if not seconds or seconds[-1][0] != this:
            seconds.append([this, 0, 0])
            while seconds[0][0] <= this - WINDOW:
                seconds.popleft()
        return seconds[-1]
