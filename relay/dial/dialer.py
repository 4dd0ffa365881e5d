"""The dial: all attempts of one hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.admission.grant import Grant
from relay.admission.request import Request
from relay.config.settings import Limits
from relay.dial.attempt import Attempt
from relay.dial.connector import Connector
from relay.dial.opened import OpenUpstream
from relay.dial.resolver import Resolver
from relay.rules.refusals import Refusal, Refused, UpstreamFacts, refuse
from relay.telemetry.records import AttemptRecord
from relay.timing.deadline import limit
from relay.timing.turns import Turns
from relay.upstreams.balancing import Balancer, Standing
from relay.upstreams.breaker import judged
from relay.upstreams.call_ids import upstream_in
from relay.upstreams.endpoints import Endpoint
from relay.upstreams.retry import LEAST, RetryBudget, delay_of
from relay.upstreams.upstream import Upstream
from relay.wire.choice import Lines

_log = Logger()


class Reached(Protocol):
    """What a try comes to."""

    def when_lost(self, call: Callable[[], object]) -> None:
        """Have this called once its connection is gone."""


T = TypeVar("T", bound=Reached)
T_co = TypeVar("T_co", bound=Reached, covariant=True)


class Try(Protocol[T_co]):
    """One try to reach one upstream."""

    async def open(self, asked: Request, grant: Grant) -> T_co:
        """
        Reach it.

        @raise Refused: if the upstream, or something on the way to it, refuses.
        """


MakeTry = Callable[[Connector, IReactorTime, Upstream, AttemptRecord], Try[T]]
"""Makes a try, with what makes its connection, the clock of its deadlines, and its record."""


def dialer_for(
    balancer: Balancer, limits: Limits, lines: Lines, reactor: IReactorTime, retries: int = LEAST
) -> Dialer:
    """
    A dialer with all that it needs.

    @param lines: makes the lines of the connections once they are open.
    @param retries: how many retries are always allowed, even to few holds (see L{RetryBudget}).
    """
    upstreams = [standing.upstream for standing in balancer.standings]
    connector = Connector(upstreams, limits, reactor, Resolver(reactor), lines)
    return Dialer(balancer, RetryBudget(retries), connector, reactor, lines.answers)


class Dialer:
    """
    Opens upstreams for holds.

    @param clock: the clock of every deadline.
    @param answers: the turns in which upstreams' answers are read. A deadline waits for the answers
        that came in time.
    """

    def __init__(
        self,
        balancer: Balancer,
        budget: RetryBudget,
        connector: Connector,
        clock: IReactorTime,
        answers: Turns,
    ) -> None:
        self._balancer = balancer
        self._budget = budget
        self._connector = connector
        self._clock = clock
        self._answers = answers

    def is_choice(self, endpoint: Endpoint) -> bool:
        """Whether more than one upstream has this endpoint."""
        takes = [standing.upstream.takes(endpoint, None) for standing in self._balancer.standings]
        return sum(takes) > 1

    async def dial(
        self, request: Request, grant: Grant, attempts: list[AttemptRecord], until: float
    ) -> OpenUpstream:
        """Open a WebSocket (see L{reach})."""
        return await self.reach(Attempt, request, grant, attempts, until)

    async def reach(
        self,
        make: MakeTry[T],
        request: Request,
        grant: Grant,
        attempts: list[AttemptRecord],
        until: float,
    ) -> T:
        """
        Reach the best upstream that accepts this request. Each is tried once, then perhaps one of
        them again. Cancelling it leaves no connection behind.

        @param make: makes each attempt.
        @param grant: what the request may have.
        @param attempts: gets a record of each attempt, and of each upstream that is passed over.
        @param until: when to give up, in seconds by the clock.
        @raise Refused: with the last attempt's refusal. A refusal for the client's own mistake ends
            the dial at once: no other upstream is tried.
        """
        self._budget.hold(self._clock.seconds())
        assert request.route is not None, "only what is served is dialled"
        only = grant.upstream or self._upstream_of_call(request)
        order = self._balancer.order(
            request.route.endpoint, request.model, request.is_beta, only=only
        )
        passed_over: list[Refusal] = []
        tried: dict[Standing, Refusal] = {}
        for place, standing in enumerate(order, 1):
            now = self._clock.seconds()
            if tried and now >= until:
                break  # an attempt without time would only count as a failure of the upstream
            refusal = standing.refusal()
            if refusal is not None:
                passed_over.append(refusal)
                attempts.append(_passed_over(standing, refusal))
                continue
            has_successor = any(other.refusal() is None for other in order[place:])
            end = (now + until) / 2 if has_successor else until
            try:
                return await self._attempt(make, standing, request, grant, attempts, end)
            except Refused as refused:
                refused.__traceback__ = None  # frames since _without_frames: a reference cycle
                tried[standing] = refused.refusal
                if _ends_all(request, refused.refusal):
                    raise
        last = _last(passed_over, list(tried.values()))
        retry = self._retry(tried, until)
        if retry is None:
            raise Refused(last)
        standing, delay = retry
        if delay:
            await deferLater(self._clock, delay)
            if standing.refusal() is not None:
                raise Refused(last)  # its breaker opened meanwhile, or others filled it
        return await self._attempt(make, standing, request, grant, attempts, until, is_retry=True)

    def _retry(self, tried: dict[Standing, Refusal], until: float) -> tuple[Standing, float] | None:
        """
        The upstream to try again, and after how many seconds; L{None} if no refusal is safe to
        retry, or the budget is spent.
        """
        now = self._clock.seconds()
        for standing, refusal in tried.items():
            delay = delay_of(refusal)
            if delay is not None and now + delay < until and standing.refusal() is None:
                return (standing, delay) if self._budget.take(now) else None
        return None

    def _upstream_of_call(self, request: Request) -> str | None:
        """The upstream that has the call that is asked for; L{None} if its id does not say so."""
        name = upstream_in(request.call_id or "")
        known = {standing.upstream.name for standing in self._balancer.standings}
        return name if name in known else None

    async def _attempt(
        self,
        make: MakeTry[T],
        standing: Standing,
        request: Request,
        grant: Grant,
        attempts: list[AttemptRecord],
        end: float,
        is_retry: bool = False,
    ) -> T:
        began = self._clock.seconds()
        record = AttemptRecord(standing.upstream.name, is_retry=is_retry)
        attempts.append(record)
        period = standing.begin()
        attempt = make(self._connector, self._clock, standing.upstream, record)
        opening = Deferred.fromCoroutine(attempt.open(request, grant))
        opening.addErrback(_without_frames)
        late = partial(_too_late, record)
        limit(opening, max(0.0, end - began), self._clock, late, self._answers.do)
        try:
            opened = await opening
        except BaseException as error:  # also for CancelledError, which is raised again
            standing.end()
            if isinstance(error, Refused):
                record.outcome = error.refusal.code
                if grant.credential is not None and judged(error.refusal) == "trips":
                    standing.gave_up(period)  # one tenant's own key says nothing to the others
                else:
                    with _telling(standing):
                        standing.failed(error.refusal, period, record.error)
            else:
                standing.gave_up(period)
            raise
        finally:
            record.seconds = self._clock.seconds() - began
        opened.when_lost(standing.end)
        with _telling(standing):
            standing.succeeded()
        return opened


def _ends_all(request: Request, refusal: Refusal) -> bool:
    """
    Whether no other upstream is to be tried, because the mistake is the client's own. A call that
    one upstream does not have, another may have.
    """
    is_elsewhere = request.call_id is not None and refusal.status == 404
    return refusal.code == "upstream_rejected_request" and not is_elsewhere


def _without_frames(failure: Failure) -> Failure:
    """Drop the failure's frames: they refer to it and to its canceller, a reference cycle."""
    failure.cleanFailure()
    return failure


def _too_late(record: AttemptRecord) -> Refused:
    """The refusal for an attempt out of time: it blames what was being waited for."""
    if record.stage is None:
        return Refused(refuse("authorizer_unavailable"))
    facts = UpstreamFacts(record.upstream, record.stage)
    return Refused(refuse("upstream_timeout", upstream=facts))


def _last(passed_over: list[Refusal], tried: list[Refusal]) -> Refusal:
    """
    What the client is told: the last attempt's refusal; without one, that of the upstream that may
    be tried soonest, before all that an operator must mend.
    """
    if tried:
        return tried[-1]
    return min(passed_over, key=lambda each: (not each.retryable, each.retry_after or 0))


def _passed_over(standing: Standing, refusal: Refusal) -> AttemptRecord:
    """
    The record of an upstream that was passed over. Whatever opened its breaker, the outcome is one:
    else it would count as one failure more.
    """
    outcome = refusal.code if refusal.since is None else "upstream_unavailable"
    return AttemptRecord(standing.upstream.name, outcome=outcome)


@contextmanager
def _telling(standing: Standing) -> Iterator[None]:
    """Log one line if the breaker opens or closes meanwhile: why, since when, and what is next."""
    before, was = standing.breaker_state, standing.trouble
    yield
    if standing.breaker_state == before:
        return
    name, trouble = standing.upstream.name, standing.trouble
    if trouble is not None:
        cause = trouble.cause
        log = _log.error if judged(cause.refusal) == "trips" else _log.warn
        log(
            "breaker of {upstream} is open: {likely} ({code} since {since}; the next try is in"
            " {seconds:.1f} s)",
            upstream=name,
            likely=trouble.finding.cause,
            code=cause.refusal.code,
            since=cause.since,
            seconds=trouble.wait,
        )
    else:
        assert was is not None, "only what is not closed closes"
        _log.info(
            "breaker of {upstream} is closed ({code} since {since} is over)",
            upstream=name,
            code=was.cause.refusal.code,
            since=was.cause.since,
        )
