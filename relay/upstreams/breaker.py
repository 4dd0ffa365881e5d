"""
Do not try an upstream while it fails.

The breaker of one upstream is a state machine: closed, open, half-open. It is told the time, and
the result of each attempt.

Source: M. Nygard, "Release It!", the circuit breaker.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from attrs import evolve, frozen

from relay.rules.refusals import KINDS, Refusal, UpstreamFacts, refuse

BreakerState = Literal["closed", "open", "half-open"]

FAILURES = 5
"""Failures in a row that open the breaker."""

FIRST = 1.0
"""Seconds of the first intervals: from the breaker's opening, or a try in vain, to the next try."""

MOST = 10.0
"""Seconds of the longest interval, and of each after a refused key or an exhausted quota."""

TRIES = 8
"""
Tries in vain after which the interval is twice as long. If each try doubled it, an upstream that
comes back after 3 s might be left alone for 4 s more, and one that flaps might be missed for a
minute.
"""

JITTER = 0.3
"""
The part of its interval by which a wait is longer or shorter at most: else an upstream that flaps
in step with the tries might be down at each.
"""

_DOUBLINGS = 10
"""As many as matter: a power of two that grew for days would have no end."""

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
"""HTTP's client errors that are not the client's fault; all others are, but for a bare 403."""


def judged(refusal: Refusal) -> Literal["trips", "counts", "passes"]:
    """
    What a refusal says about its upstream.

    @return: C{trips} for a refused key or an exhausted quota: nobody can be served until an
        operator mends that. C{counts} for a failure that may be over soon. C{passes} for the
        client's fault or the relay's.
    """
    if refusal.of_request or refusal.code in _NOT_ITS_FAULT:
        return "passes"
    if refusal.code in _AT_ONCE:  # before its status is looked at, which may be a 4xx
        return "trips"
    return "passes" if _is_about_the_request(refusal) else "counts"


def _innermost(facts: UpstreamFacts | None) -> UpstreamFacts | None:
    """Those of the upstream that refused, behind whatever relays passed that on."""
    while facts is not None and facts.upstream is not None:
        facts = facts.upstream
    return facts


def _is_about_the_request(refusal: Refusal) -> bool:
    """
    Whether the upstream is up and refuses this request only. Five bad requests of one client must
    not keep other clients out.
    """
    facts = _innermost(refusal.upstream)
    if facts is None:
        return False
    if facts.status is None:
        in_band = facts.stage == "first_event" and refusal.code == "upstream_refused"
        return in_band and not refusal.retryable
    if facts.status == 403 and refusal.code == "upstream_refused":
        return False  # it says nothing of the request, and a firewall answers it to everybody
    return 400 <= facts.status < 500 and facts.status not in _OWN_FAILURES


@frozen
class Cause:
    """
    Why a breaker is not closed: the failure that came last.

    @ivar refusal: what the attempt was refused with, with the message of the table. The upstream's
        own words were for the request that it answered, and may tell of that. They are only in
        C{said}, for the diagnosis.
    @ivar since: when the first failure of this code in a row was, in UTC (RFC 3339).
    @ivar error: the name of the error below, as in the attempt's record.
    """

    refusal: Refusal
    since: str
    error: str | None = None

    def passing_over(self, wait: float) -> Refusal:
        """
        The refusal for a hold that may not try. What may pass is C{upstream_unavailable}, which
        says when to come back; what may not has its own code.

        @param wait: the seconds until a hold may try.
        """
        refusal, since = self.refusal, self.since
        if refusal.retryable:
            told = refuse(
                "upstream_unavailable",
                f"The upstream is failing ({refusal.code} since {since}); wait.",
                retry_after=math.ceil(wait),
                upstream=refusal.upstream,
            )
        else:
            message = f"{refusal.message.removesuffix('.')} (since {since})."
            told = evolve(refusal, message=message, retry_after=None, said="")
        return evolve(told, cause=refusal.code, since=since)


class Breaker:
    """
    The breaker of one upstream. Closed, it lets all holds through; open, none; half-open, one at a
    time.

    A result counts only if the breaker has not changed since its attempt began. Only a success
    always counts, because the upstream is up.

    @param random: returns a random number, at least 0 and below 1.
    @param utc: the date and time, as L{Cause} has it.
    """

    def __init__(self, random: Callable[[], float], utc: Callable[[], str]) -> None:
        self._random = random
        self._utc = utc
        self._period = 0  # of attempts whose results count: new at each change, and for each try
        self._failures = 0
        self._last: Cause | None = None
        self._is_closed = True
        self._tries = 0  # in vain, since it was closed
        self._is_trying = False
        self._length = 0.0
        self._next = 0.0

    @property
    def cause(self) -> Cause | None:
        """Why it is not closed; L{None} if it is."""
        return None if self._is_closed else self._last

    def state(self, now: float) -> BreakerState:
        """Its state: an open breaker becomes half-open by the passing of time."""
        if self._is_closed:
            return "closed"
        return "open" if self.wait(now) and not self._is_trying else "half-open"

    def wait(self, now: float) -> float:
        """
        Seconds until a hold may try; 0 if it may now. While another tries they are the least,
        because nobody knows when that ends.
        """
        rest = self._next - now
        if self._is_closed or rest > 2 * self._length:
            # So long a rest means that the clock was set back: an embedder's reactor may keep time
            # by the wall clock.
            return 0.0
        return max(FIRST if self._is_trying else 0.0, rest)

    def refusal(self, now: float) -> Refusal | None:
        """What a hold is told that may not try now; L{None} if it may."""
        wait, cause = self.wait(now), self.cause
        return cause.passing_over(wait) if wait and cause else None

    def begin(self, now: float) -> int:
        """
        A hold tries the upstream. To be called only when L{wait} is 0.

        @return: the attempt's period, to be handed in with its result.
        """
        if not self._is_closed:
            self._period += 1
            self._is_trying = True
            self._hold_off(now)
        return self._period

    def succeeded(self) -> None:
        """The upstream opened. All begins anew, also the growth of the interval."""
        if not self._is_closed:
            self._period += 1
        self._is_closed, self._is_trying, self._last = True, False, None
        self._failures = self._tries = 0

    def gave_up(self, period: int) -> None:
        """An attempt ended without a result: its client left."""
        if period == self._period:
            self._is_trying = False

    def failed(self, refusal: Refusal, now: float, period: int, error: str | None = None) -> None:
        """
        An attempt was refused.

        If a half-open breaker's try is refused for a reason that is not about the upstream, the
        next hold may try at once.
        """
        if period != self._period:
            return
        self._is_trying = False
        verdict = judged(refusal)
        if verdict == "passes":
            # That does not close it, though something answered: a gateway refuses a bad request, or
            # one too many, even while nothing behind it serves. Then closing would let the next
            # holds run into the failure, and staying half-open costs others no more than this try.
            self._next = now
            return
        self._note(refusal, error)
        self._failures += 1
        if not self._is_closed:
            self._tries += 1
        elif verdict == "trips" or self._failures >= FAILURES:
            self._is_closed = False
        else:
            return
        self._period += 1
        self._hold_off(now)

    def _note(self, refusal: Refusal, error: str | None) -> None:
        last = self._last
        is_same = last is not None and last.refusal.code == refusal.code
        since = last.since if last is not None and is_same else self._utc()
        self._last = Cause(evolve(refusal, message=KINDS[refusal.code].message), since, error)

    def _hold_off(self, now: float) -> None:
        """Let the next hold try after the interval."""
        interval = min(MOST, FIRST * 2 ** min(self._tries // TRIES, _DOUBLINGS))
        if self._last is not None and judged(self._last.refusal) == "trips":
            interval = MOST
        self._length = interval * (1 + JITTER * (2 * self._random() - 1))
        self._next = now + self._length
