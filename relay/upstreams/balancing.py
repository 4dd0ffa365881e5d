"""Which upstreams a hold may try, in which order, and how each of them is doing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, UpstreamFacts, attributed, refuse
from relay.upstreams.breaker import Breaker, BreakerState
from relay.upstreams.upstream import Upstream


class Standing:
    """
    One upstream, and how it is doing: its breaker and its connections.

    @ivar sessions: how many connections to it there are, those of holds included.
    @ivar breaker: its breaker; L{None} if it has none.
    """

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.sessions = 0
        self.breaker = Breaker() if upstream.breaker else None

    @property
    def breaker_state(self) -> BreakerState | Literal["off"]:
        """The state of its breaker; C{off} if it has none."""
        return self.breaker.state if self.breaker is not None else "off"

    def refusal(self, now: float) -> Refusal | None:
        """Why a hold may not try this upstream now; L{None} if it may."""
        most = self.upstream.max_sessions
        wait = self.breaker.wait(now) if self.breaker is not None else 0.0
        if wait:
            refusal = refuse("upstream_unavailable", retry_after=math.ceil(wait))
        elif most is not None and self.sessions >= most:
            refusal = refuse("relay_full", "The relay may open no more sessions upstream; wait.")
        else:
            return None
        return attributed(refusal, UpstreamFacts(self.upstream.name, None))

    def begin(self, now: float) -> None:
        """A hold tries this upstream: there is one connection more."""
        self.sessions += 1
        if self.breaker is not None:
            self.breaker.begin(now)

    def end(self) -> None:
        """A connection to this upstream is gone, or was never made."""
        self.sessions -= 1

    def succeeded(self) -> None:
        """The upstream opened."""
        if self.breaker is not None:
            self.breaker.succeeded()

    def failed(self, refusal: Refusal, now: float) -> None:
        """The upstream did not open, for this reason."""
        if self.breaker is not None:
            self.breaker.failed(refusal, now)


class Balancer:
    """
    The upstreams of one relay.

    @param random: returns a random number, at least 0 and below 1.
    @ivar standings: one for each upstream, in the order of the settings.
    @raise InvalidValue: if there is no upstream, or two have the same name.
    """

    def __init__(self, upstreams: Sequence[Upstream], random: Callable[[], float]) -> None:
        names = [upstream.name for upstream in upstreams]
        if not names:
            raise InvalidValue("a relay needs an upstream")
        if len(set(names)) < len(names):
            raise InvalidValue(f"upstreams need names of their own, not {', '.join(names)}")
        self.standings = tuple(map(Standing, upstreams))
        self._random = random

    def order(self, model: str | None) -> list[Standing]:
        """
        The upstreams for this model, in the order to try them: by priority, and among equals by
        chance. One with twice the weight is first twice as often.
        """
        found = [s for s in self.standings if s.upstream.takes(model)]
        if len(found) > 1:
            found.sort(key=lambda s: (s.upstream.priority, self._lot(s.upstream.weight)))
        return found

    def _lot(self, weight: int) -> float:
        """
        A random number to sort by; the smallest goes first (Efraimidis and Spirakis, "Weighted
        random sampling with a reservoir", 2006).
        """
        return -math.log(1.0 - self._random()) / weight
