"""Time that only goes forward, for all that a reactor waits for."""

from __future__ import annotations

from time import monotonic
from typing import Any

from relay.rules.errors import RelayError


class ClockInUse(RelayError, RuntimeError):
    """Something waits for the reactor already, by the clock that was to be replaced."""


def use_monotonic_clock(reactor: Any) -> None:
    """
    Let a reactor keep its time by the monotonic clock. Twisted's keep it by the wall clock: when
    that is set back by an hour, every deadline that runs is an hour late.

    It is a setting of the reactor, so it holds for all that shares it. From then on the reactor's
    C{seconds()} tells no date.

    @param reactor: one of Twisted's, that nothing waits for yet.
    @raise ClockInUse: if something does: it has its end as a time of the other clock.
    """
    if reactor.seconds is monotonic:
        return
    if reactor.getDelayedCalls():
        raise ClockInUse("choose the reactor's clock before the first callLater")
    reactor.seconds = monotonic
