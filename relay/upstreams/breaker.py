"""
Leave an upstream alone while it fails.

A state machine of one upstream: closed, open, half-open. It is told the time, and what became of
each attempt.

Source: M. Nygard, "Release It!", the circuit breaker.
"""

from __future__ import annotations

from typing import Literal

from relay.rules.refusals import Refusal

BreakerState = Literal["closed", "open", "half-open"]

FAILURES = 5
"""So many failures, one after the other, open it."""

INTERVAL = 10.0
"""Seconds from its opening to the next hold that may try, and from that to the one after."""

_AT_ONCE = frozenset({"upstream_unauthorized", "upstream_quota_exhausted"})
_NOT_ITS_FAULT = frozenset(
    {
        "authorizer_unavailable",
        "internal_error",
        "relay_full",
        "upstream_rate_limited",
        "upstream_rejected_request",
    }
)
_OWN_FAILURES = frozenset({401, 408})
"""Client errors of HTTP that are not for a caller to avoid; all others are."""


def judged(refusal: Refusal) -> Literal["trips", "counts", "passes"]:
    """
    What a refusal says about its upstream.

    @return: C{trips} if nobody can be served until somebody mends it: its key or its quota;
        C{counts} if it is a failure as may pass; C{passes} if it is the caller's matter or ours.
    """
    if refusal.code == "upstream_quota_exhausted":
        return "trips"  # which comes as 429
    if refusal.code in _NOT_ITS_FAULT or _is_about_the_request(refusal):
        return "passes"
    return "trips" if refusal.code in _AT_ONCE else "counts"


def _is_about_the_request(refusal: Refusal) -> bool:
    """
    Whether it answered, and did not like what was asked: five requests of one caller must not keep
    the others out.
    """
    facts = refusal.upstream
    if facts is None:
        return False
    if facts.status is None:
        in_band = facts.stage == "first_event" and refusal.code == "upstream_refused"
        return in_band and not refusal.retryable
    return 400 <= facts.status < 500 and facts.status not in _OWN_FAILURES


class Breaker:
    """
    One upstream's.

    @ivar state: C{closed} lets everybody through, C{open} nobody, C{half-open} one an interval.
    """

    def __init__(self) -> None:
        self.state: BreakerState = "closed"
        self._failures = 0
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a hold may try; 0 if it may now."""
        left = self._next - now
        if self.state == "closed" or left > 2 * INTERVAL:
            # An embedder's reactor may keep time by the wall clock, and that was set back.
            return 0.0
        return max(0.0, left)

    def begin(self, now: float) -> None:
        """A hold tries, since it need not wait."""
        if self.state != "closed":
            self.state = "half-open"
            self._next = now + INTERVAL

    def succeeded(self) -> None:
        """The upstream opened."""
        self.state = "closed"
        self._failures = 0

    def failed(self, refusal: Refusal, now: float) -> None:
        """
        An attempt was refused. While it is open that is one which began before, and changes
        nothing. Who tried and was refused for another reason lets the next try at once.
        """
        verdict = judged(refusal)
        if verdict == "passes" and self.state == "half-open":
            self._next = now
        if verdict == "passes" or self.state == "open":
            return
        self._failures += 1
        if verdict == "trips" or self.state == "half-open" or self._failures >= FAILURES:
            self.state = "open"
            self._next = now + INTERVAL
