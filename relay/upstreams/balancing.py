"""Which upstreams a hold may try, in which order, and how each of them is doing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from attrs import frozen

from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, Refused, UpstreamFacts, attributed, refuse
from relay.timing.clock import utc
from relay.upstreams.breaker import Breaker, BreakerState, Cause
from relay.upstreams.diagnosis import Finding
from relay.upstreams.endpoints import Endpoint
from relay.upstreams.upstream import Upstream

BETA_IS_RETIRED = (
    "The beta of the Realtime API is retired: leave out the OpenAI-Beta header, and use its present"
    " events."
)

MODELS_TOLD = 10
"""How many models are named to a caller who asked for another."""


@frozen
class Trouble:
    """
    Why an upstream is left alone.

    @ivar cause: why its breaker is not closed.
    @ivar finding: the same as C{realtime-relay check} tells it.
    @ivar wait: seconds until a hold may try it.
    """

    cause: Cause
    finding: Finding
    wait: float


class Load:
    """
    The connections to one upstream.

    @ivar sessions: how many there are, those of holds included.
    """

    def __init__(self) -> None:
        self.sessions = 0


class Standing:
    """
    One upstream, and how it is doing: its breaker and its connections.

    @param load: its connections so far, if it has changed while they were open.
    @ivar breaker: its breaker; L{None} if it has none.
    """

    def __init__(
        self,
        upstream: Upstream,
        random: Callable[[], float],
        seconds: Callable[[], float],
        utc: Callable[[], str] = utc,
        load: Load | None = None,
    ) -> None:
        self.upstream = upstream
        self.load = load or Load()
        self.breaker = Breaker(random, utc) if upstream.breaker else None
        self._seconds = seconds

    @property
    def sessions(self) -> int:
        """How many connections to it there are, those of holds included."""
        return self.load.sessions

    @property
    def breaker_state(self) -> BreakerState | Literal["off"]:
        """The state of its breaker now; C{off} if it has none."""
        return self.breaker.state(self._seconds()) if self.breaker is not None else "off"

    @property
    def trouble(self) -> Trouble | None:
        """Why its breaker is not closed now; L{None} if it is, or if there is none."""
        cause = self.breaker.cause if self.breaker is not None else None
        if self.breaker is None or cause is None:
            return None
        facts = cause.refusal.upstream
        stage = facts.stage if facts is not None else None
        upstream = self.upstream
        finding = Finding(upstream.name, upstream.url, {}, cause.refusal, stage, cause.error)
        return Trouble(cause, finding, self.breaker.wait(self._seconds()))

    def refusal(self) -> Refusal | None:
        """Why a hold may not try this upstream now; L{None} if it may."""
        refusal = self.breaker.refusal(self._seconds()) if self.breaker is not None else None
        most = self.upstream.max_sessions
        if refusal is None and most is not None and self.sessions >= most:
            refusal = refuse("relay_full", "The relay may open no more sessions upstream; wait.")
        if refusal is None or refusal.upstream is not None:
            return refusal
        return attributed(refusal, UpstreamFacts(self.upstream.name, None))

    def begin(self) -> int:
        """
        A hold tries this upstream: there is one connection more.

        @return: to be handed in with the attempt's result (see L{Breaker.begin}).
        """
        self.load.sessions += 1
        return self.breaker.begin(self._seconds()) if self.breaker is not None else 0

    def end(self) -> None:
        """A connection to this upstream is gone, or was never made."""
        self.load.sessions -= 1

    def gave_up(self, period: int) -> None:
        """An attempt ended without a result."""
        if self.breaker is not None:
            self.breaker.gave_up(period)

    def succeeded(self) -> None:
        """The upstream opened."""
        if self.breaker is not None:
            self.breaker.succeeded()

    def failed(self, refusal: Refusal, period: int, error: str | None = None) -> None:
        """The upstream did not open, for this reason."""
        if self.breaker is not None:
            self.breaker.failed(refusal, self._seconds(), period, error)


def check_names(upstreams: Sequence[Upstream]) -> None:
    """@raise InvalidValue: if there is no upstream, or two have the same name."""
    names = [upstream.name for upstream in upstreams]
    if not names:
        raise InvalidValue("a relay needs an upstream")
    if len(set(names)) < len(names):
        raise InvalidValue(f"upstreams need names of their own, not {', '.join(names)}")


class Balancer:
    """
    The upstreams of one relay.

    @param random: returns a random number, at least 0 and below 1.
    @param seconds: the time by the relay's clock.
    @param before: how upstreams have done so far. One that is the same goes on from there. One of
        the same name has the same connections.
    @ivar standings: one for each upstream, in the order of the settings.
    @raise InvalidValue: if there is no upstream, or two have the same name.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        random: Callable[[], float],
        seconds: Callable[[], float],
        before: Sequence[Standing] = (),
    ) -> None:
        check_names(upstreams)
        known = {standing.upstream.name: standing for standing in before}

        def standing_of(upstream: Upstream) -> Standing:
            found = known.get(upstream.name)
            if found is None:
                return Standing(upstream, random, seconds)
            if found.upstream == upstream:
                return found
            return Standing(upstream, random, seconds, load=found.load)

        self.standings = tuple(map(standing_of, upstreams))
        self._random = random

    def order(
        self,
        endpoint: Endpoint,
        model: str | None,
        beta: bool = False,
        *,
        only: str | None = None,
    ) -> list[Standing]:
        """
        The upstreams for this endpoint and model, in the order to try them: by priority, and among
        equals by chance. One with twice the weight is first twice as often.

        @param beta: whether the client speaks OpenAI's retired beta.
        @param only: the name of the one upstream that may be tried; L{None} for any.
        @raise Refused: if there is none.
        @raise InvalidValue: if no upstream has the name C{only}.
        """
        allowed = [s for s in self.standings if only in (None, s.upstream.name)]
        if not allowed:
            raise InvalidValue(f"a grant is for the upstream {only}, and there is none")
        found = [s for s in allowed if s.upstream.takes(endpoint, model)]
        if not found:
            raise Refused(refuse("model_not_allowed", self._which_models(endpoint)))
        # A client that speaks OpenAI's protocol must not meet one that does not.
        found = [s for s in found if endpoint.name not in s.upstream.traits.lent] or found
        found = [s for s in found if not (beta and s.upstream.refuses_beta)]
        if not found:
            raise Refused(refuse("bad_request", BETA_IS_RETIRED))
        if len(found) > 1:
            found.sort(key=lambda s: (s.upstream.priority, self._lot(s.upstream.weight)))
        return found

    def _which_models(self, endpoint: Endpoint) -> str | None:
        """In words, the models that may be asked for here; L{None} if no upstream names any."""
        serving = [s.upstream for s in self.standings if s.upstream.takes(endpoint, None)]
        names = list(dict.fromkeys(name for each in serving for name in each.models))
        more = " and others" if len(names) > MODELS_TOLD else ""
        told = f"{', '.join(names[:MODELS_TOLD])}{more}"
        return f"Choose a model that this relay allows: {told}." if names else None

    def _lot(self, weight: int) -> float:
        """
        A random number to sort by; the smallest goes first (Efraimidis and Spirakis, "Weighted
        random sampling with a reservoir", 2006).
        """
        return -math.log(1.0 - self._random()) / weight
