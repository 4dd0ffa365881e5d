"""Two clocks: one that only goes forward, for every deadline, and the machine's, for dates."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

from relay.rules.errors import RelayError


class ClockInUse(RelayError, RuntimeError):
    """Something waits for the reactor already, by the clock that was to be replaced."""


def use_monotonic_clock(reactor: Any) -> None:
    """
    Let a reactor keep its time by the monotonic clock. Twisted's reactors keep it by the wall
    clock: when that is set back by an hour, every deadline that runs is an hour late.

    This holds for all that shares the reactor. From then on its C{seconds()} tells no date.

    @param reactor: one of Twisted's, with no timer running.
    @raise ClockInUse: if a timer runs, because its end is a time of the other clock.
    """
    if reactor.seconds is monotonic:
        return
    if reactor.getDelayedCalls():
        raise ClockInUse("choose the reactor's clock before the first callLater")
    reactor.seconds = monotonic


def epoch() -> float:
    """Seconds since 1970 by the machine's clock, by which credentials expire."""
    return time()


def utc() -> str:
    """The date and time by the machine's clock, in UTC and whole seconds (RFC 3339)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
