"""
Do not try an upstream while it fails.

The breaker of one upstream is a state machine: closed, open, half-open. It is told the time, and
the result of each attempt.

Source: M. Nygard, "Release It!", the circuit breaker.
"""

from __future__ import annotations

from typing import Literal

from relay.rules.refusals import Refusal

BreakerState = Literal["closed", "open", "half-open"]

FAILURES = 5
"""Failures in a row that open the breaker."""

INTERVAL = 10.0
"""Seconds from its opening until one hold may try, and from that try until the next one may."""

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
"""HTTP's client errors that are not the client's fault; all others are."""


def judged(refusal: Refusal) -> Literal["trips", "counts", "passes"]:
    """
    What a refusal says about its upstream.

    @return: C{trips} for a refused key or an exhausted quota: nobody can be served until an
        operator mends that. C{counts} for a failure that may be over soon. C{passes} for the
        client's fault or the relay's.
    """
    if refusal.code == "upstream_quota_exhausted":
        return "trips"  # first: its status 429 would count as the client's fault
    if refusal.code in _NOT_ITS_FAULT or _is_about_the_request(refusal):
        return "passes"
    return "trips" if refusal.code in _AT_ONCE else "counts"


def _is_about_the_request(refusal: Refusal) -> bool:
    """
    Whether the upstream is up and refuses this request only. Five bad requests of one client must
    not keep other clients out.
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
    The breaker of one upstream.

    @ivar state: C{closed} lets all holds through, C{open} none, C{half-open} one each
        L{INTERVAL}.
    """

    def __init__(self) -> None:
        self.state: BreakerState = "closed"
        self._failures = 0
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a hold may try; 0 if it may now."""
        wait = self._next - now
        if self.state == "closed" or wait > 2 * INTERVAL:
            # So long a wait means that the clock was set back: an embedder's reactor may keep time
            # by the wall clock.
            return 0.0
        return max(0.0, wait)

    def begin(self, now: float) -> None:
        """A hold tries the upstream. To be called only when L{wait} is 0."""
        if self.state != "closed":
            self.state = "half-open"
            self._next = now + INTERVAL

    def succeeded(self) -> None:
        """The upstream opened."""
        self.state = "closed"
        self._failures = 0

    def failed(self, refusal: Refusal, now: float) -> None:
        """
        An attempt was refused.

        While the breaker is open, that attempt began before, and changes nothing. If it is
        half-open and the refusal is not about the upstream, the next hold may try at once.
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
