"""
When an upstream that failed is tried once more within the same hold.

A retry helps against a failure that is over at once, and makes any other failure worse. So retries
are rare, and made only if the upstream cannot have begun to work.

Source: Google's "Site Reliability Engineering", 21 (retry budgets).
"""

from __future__ import annotations

from collections import deque

from relay.rules.refusals import Refusal

SHARE = 0.1
"""Most retries in the window, as a fraction of its holds."""

LEAST = 3
"""Retries in the window that are always allowed; at 20 holds a second they are one in 66."""

WINDOW = 10
"""The seconds, up to now, in which holds and retries are counted."""

PATIENCE = 1
"""Most seconds of a C{Retry-After} that a retry waits for."""

_FAILING = frozenset({502, 503, 504})


def delay_of(refusal: Refusal) -> float | None:
    """
    Seconds after which the same upstream may be tried again in the same hold; L{None} for never.

    A retry is safe after a connection that was reset or closed instead of an answer, after HTTP
    502, 503 and 504, and after any other retryable refusal with a C{Retry-After} of at most
    L{PATIENCE}. A longer C{Retry-After} rules it out. A refused port, a name, a certificate or a
    deadline would only fail again.
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
        "response",
    )
    return 0.0 if dropped or facts.status in _FAILING else None


class RetryBudget:
    """
    Allows retries: at most L{SHARE} of the holds in the last L{WINDOW} seconds, or C{least} if that
    is more.
    """

    def __init__(self, least: int = LEAST) -> None:
        self._least = least
        self._seconds: deque[list[int]] = deque()  # of lists: second, its holds, its retries

    def hold(self, now: float) -> None:
        """A hold begins."""
        self._this(now)[1] += 1

    def take(self, now: float) -> bool:
        """Whether a retry is allowed now; if so, count it."""
        this = self._this(now)
        holds = sum(second[1] for second in self._seconds)
        retries = sum(second[2] for second in self._seconds)
        if retries + 1 > max(self._least, SHARE * holds):
            return False
        this[2] += 1
        return True

    def _this(self, now: float) -> list[int]:
        """The current second's counts. Drops the counts of seconds before the window."""
        seconds, this = self._seconds, int(now)
        if not seconds or seconds[-1][0] != this:
            seconds.append([this, 0, 0])
            while seconds[0][0] <= this - WINDOW:
                seconds.popleft()
        return seconds[-1]
