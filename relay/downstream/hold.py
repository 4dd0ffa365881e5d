"""The hold: admission and dial under one deadline, while the downstream waits for its answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Generic, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.admission.budgets import Budgets
from relay.admission.callers import Callers, OverLimit
from relay.admission.client import Client
from relay.admission.grant import Grant
from relay.admission.quota import budget_of
from relay.admission.request import Admit, Request
from relay.admission.verdict import grant_for
from relay.config.settings import Settings
from relay.dial.dialer import Dialer
from relay.dial.opened import OpenUpstream
from relay.downstream.hang_ups import HangUps
from relay.lifecycle.register import Register
from relay.peer.interfaces import Downstream
from relay.recording.recordings import Recordings
from relay.rules.budgets import Budget
from relay.rules.refusals import Refusal, Refused, refuse
from relay.session.session import Session
from relay.telemetry.records import HoldRecord
from relay.timing.deadline import Deadline

_log = Logger()

T = TypeVar("T")

OUT_OF_TIME = ("authorizer_unavailable", "upstream_timeout")
"""
Refusals of a hold whose time is up. In a drain they become C{draining}, so that the client connects
elsewhere.
"""


@frozen
class HoldContext:
    """
    What all holds of a factory share.

    @ivar admit: decides on each request; L{None} to let everybody in.
    @ivar hang_ups: the calls that end with their grant.
    @ivar guarded: whether a request needs a credential that a web page cannot have by itself.
    """

    settings: Settings
    admit: Admit | None
    dialer: Dialer
    register: Register
    callers: Callers
    budgets: Budgets
    clock: IReactorTime
    recordings: Recordings
    hang_ups: HangUps
    guarded: bool = False


class Hold(Generic[T]):
    """
    One hold. It ends once: with what it is for, with the code of a refusal, or with C{left}, if the
    client did not wait.

    @param client: who asks, for the limits by address.
    @param record: is filled in as the hold goes on. At the hold's end the register's listeners are
        told of it.
    """

    def __init__(
        self, context: HoldContext, request: Request, client: Client, record: HoldRecord
    ) -> None:
        self.request = request
        self._context = context
        self.record = record
        self._began = context.clock.seconds()
        self._verdict: Refusal | None = None
        self._grant = Grant()
        agent = request.head.one("user-agent") or ""
        self._visit = context.callers.visit(client, agent)
        self._work: Deferred[T] | None = None
        self._deadline = Deadline(context.clock)

    def start(self) -> Deferred[T]:
        """
        Begin.

        @return: fires with what was reached; fails with L{Refused}, or with L{CancelledError} if
            the client did not wait.
        """
        self._verdict = self._context.register.admission_refusal()
        self._context.register.holds.add(self)
        self._work = Deferred.fromCoroutine(self._open())
        return self._work.addCallbacks(self._succeeded, self._failed)

    def end(self, refusal: Refusal) -> None:
        """End the hold now, with this refusal."""
        self._verdict = refusal
        self.leave()

    def leave(self) -> None:
        """
        The client is gone: cancel the dial at once, because an upstream session without a client
        costs money.
        """
        if self in self._context.register.holds and self._work is not None:
            self._work.cancel()

    async def _open(self) -> T:
        if self._verdict is not None:
            raise Refused(self._verdict)
        self._visit.arrive()
        until = self._began + self._context.settings.hold_seconds
        self._grant = await self._admitted()
        self.record.subject = self._grant.subject
        self._visit.is_granted(self._grant.subject, self._grant.limits)
        await self._visit.is_shared()
        self._judge()
        await self._context.budgets.admit(self._visit.caller, self._budget)
        return await self._reach(until)

    def _judge(self) -> None:
        """@raise Refused: if what the grant allows does not go so far."""
        raise NotImplementedError

    async def _reach(self, until: float) -> T:
        """
        Reach an upstream.

        @param until: when to give up, in seconds by the clock.
        @raise Refused: if there is none.
        """
        raise NotImplementedError

    @property
    def _budget(self) -> Budget:
        return budget_of(self._grant.limits, self._context.settings.limits)

    async def _admitted(self) -> Grant:
        if self._context.admit is None:
            return Grant()
        self._deadline.set(self._context.settings.hold_seconds, self._too_late)
        began = self._context.clock.seconds()
        try:
            return await grant_for(self.request, self._context.admit)
        finally:
            self._deadline.clear()
            self.record.authorizing = self._context.clock.seconds() - began

    def _too_late(self) -> None:
        """The authorizer has used up all of the hold's time."""
        self.end(refuse("authorizer_unavailable"))

    # -- its end ---------------------------------------------------------------------------

    def _succeeded(self, reached: T) -> T:
        raise NotImplementedError

    def _begin(self, downstream: Downstream, opened: OpenUpstream, offered: Sequence[str]) -> None:
        """
        There is a session.

        @param offered: the subprotocols that the client has offered.
        """
        context = self._context
        session = Session(
            downstream,
            opened,
            self._grant,
            self._visit,
            partial(context.budgets.open, self._visit.caller, self._budget),
            self.record,
            context.clock,
            context.settings,
            context.register,
            offered,
        )
        context.register.sessions[session] = None
        context.recordings.begin(session, opened.secrets, context.settings)
        session.start()

    def _failed(self, failure: Failure) -> Failure:
        refusal = self._refusal(failure)
        self._visit.end()
        failure.cleanFailure()  # its frames refer to it: a reference cycle
        if refusal is None:
            self._end("left")
            self._context.register.refused(self.record, None)
            return failure
        if refusal.code in OUT_OF_TIME and self._context.register.draining:
            refusal = refuse("draining")
        refusal = evolve(refusal, attempts=self.record.attempted)
        if isinstance(failure.value, OverLimit):
            self._note(f"over {failure.value.detail}")
        elif refusal.detail:
            self._note(refusal.detail)
        elif not refusal.attempts:
            # No attempt tells the operator why.
            self._note(refusal.message)
        self._end(refusal.code)
        self._context.register.refused(self.record, refusal)
        return Failure(Refused(refusal))

    def _refusal(self, failure: Failure) -> Refusal | None:
        """The refusal that downstream is told for a failure; L{None} if the client is gone."""
        if isinstance(failure.value, Refused):
            return failure.value.refusal
        if isinstance(failure.value, CancelledError):
            return self._verdict
        # The text of an exception stays in the log.
        _log.failure("hold {id} failed", failure, id=self.request.id)
        return refuse("internal_error")

    def _note(self, why: str) -> None:
        self.record.detail = "; ".join(filter(None, (why, self.record.detail)))

    def _end(self, outcome: str) -> None:
        self.record.outcome = outcome
        self.record.seconds = self._context.clock.seconds() - self._began
        self._context.register.holds.discard(self)
