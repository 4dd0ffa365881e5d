"""A page only for who may have a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from relay.admission.callers import Callers, Visit
from relay.admission.client import Client
from relay.admission.grant import Grant
from relay.admission.request import Admit, Request
from relay.admission.verdict import grant_for
from relay.rules.refusals import Refused, refuse
from relay.timing.deadline import limit
from relay.web.page import Page, PlainRequest, answer_by, answer_failure, refusing

T = TypeVar("T")


class Door:
    """
    Asks C{admit} about plain requests. While it does, a request counts as a hold of its address:
    else one could try any number of credentials here.

    @param seconds: how long its answer is waited for.
    @param callers: what each address may have.
    """

    def __init__(
        self, admit: Admit | None, seconds: float, clock: IReactorTime, callers: Callers
    ) -> None:
        self._admit = admit
        self._seconds = seconds
        self._clock = clock
        self._callers = callers

    def ask(self, request: Request) -> Deferred[Grant]:
        """@return: fires with the grant; fails with L{Refused}."""
        agent = request.head.one("user-agent") or ""
        visit = self._callers.visit(Client(request.peer), agent)
        try:
            visit.arrive()
        except Refused:
            return fail()
        work = Deferred.fromCoroutine(grant_for(request, self._admit))
        limit(work, self._seconds, self._clock, _late)
        return work.addBoth(_ended, visit)


def _ended(result: T, visit: Visit) -> T:
    visit.end()
    return result


def _late() -> Exception:
    return Refused(refuse("authorizer_unavailable"))


class Behind(Resource):
    """
    A page behind a door. It has no children.

    @param page: makes the page for whom the door lets in.
    """

    isLeaf = True

    def __init__(self, door: Door, page: Callable[[Grant], Page]) -> None:
        super().__init__()
        self._door = door
        self._page = page

    def render(self, request: PlainRequest) -> int:
        """Answer once the door has."""
        asking = self._door.ask(request.asked.request)
        request.notifyFinish().addErrback(lambda _: asking.cancel())
        page = asking.addCallbacks(self._opened, _refused, callbackArgs=(request,))
        page.addCallback(answer_by, request)
        page.addErrback(answer_failure, request)
        return NOT_DONE_YET

    def _opened(self, grant: Grant, request: PlainRequest) -> Page:
        request.subject = grant.subject
        return self._page(grant)


def _refused(failure: Failure) -> Page:
    if isinstance(failure.value, Refused):
        return refusing(failure.value.refusal)
    failure.raiseException()
