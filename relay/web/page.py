"""What the pages of the relay's own sites have in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import NO_CONTENT
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from relay.downstream.plain import Asked
from relay.rules.refusal_forms import http_body, http_headers
from relay.rules.refusals import Refusal, Refused, refuse

_log = Logger()


class PlainRequest(Request):
    """
    A plain request to a page of the relay's own.

    @ivar asked: the same request, as the front saw it.
    @ivar subject: who asks, once that is known.
    """

    def __init__(self, *args: Any, asked: Asked) -> None:
        # What a form says is a page's own to read: Twisted answers a bad one in a form of its own.
        super().__init__(*args, parsePOSTFormSubmission=False)
        self.asked = asked
        self.subject: str | None = None

    def process(self) -> None:
        """Answer a preflight at once, whatever the path; let a page answer anything else."""
        for name, value in self.asked.headers:
            self.setHeader(name, value)
        if self.asked.is_preflight:
            self.setResponseCode(NO_CONTENT)
            self.finish()
        else:
            super().process()

    def finish(self) -> None:
        """The answer is whole: tell of it."""
        super().finish()
        self.asked.answered(self.code, self.subject)


class Page(Resource):
    """
    A resource that answers every method, and has no children.

    Twisted's own answer to a wrong method quotes the URI. Its answer to HEAD logs the body.

    @param answer: sets status and headers, and returns the body.
    """

    isLeaf = True

    def __init__(self, answer: Callable[[PlainRequest], bytes]) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: PlainRequest) -> bytes:
        """The answer, without its body for HEAD."""
        request.responseHeaders.removeHeader(b"Server")
        body = self._answer(request)
        request.setHeader("Content-Length", str(len(body)))
        return b"" if request.method == b"HEAD" else body


class Later(Resource):
    """
    A resource like L{Page} whose answer is made later.

    @param answer: sets status and headers, and returns the body.
    """

    isLeaf = True

    def __init__(self, answer: Callable[[PlainRequest], Coroutine[Any, Any, bytes]]) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: PlainRequest) -> int:
        """Answer once there is an answer."""
        work = Deferred.fromCoroutine(self._answer(request))
        request.notifyFinish().addErrback(lambda _: work.cancel())
        work.addCallback(lambda body: answer_by(Page(lambda _: body), request))
        work.addErrback(answer_failure, request)
        return NOT_DONE_YET


def answer_by(page: Page, request: PlainRequest) -> None:
    """Have a page answer a request that waits."""
    request.write(page.render(request))
    request.finish()


def answer_failure(failure: Failure, request: PlainRequest) -> None:
    """The client did not wait; or else the relay itself failed, and its text stays in the log."""
    if not failure.check(CancelledError):
        _log.failure("request {id} failed", failure, id=request.asked.request.id)
        answer_by(refusing(refuse("internal_error")), request)


def bad(message: str) -> Refused:
    """What a page raises for a request that it cannot make sense of."""
    return Refused(refuse("bad_request", message))


def refused(request: PlainRequest, refusal: Refusal) -> bytes:
    """Write the head of a refusal in its HTTP form; return its body."""
    request_id = request.asked.request.id
    request.setResponseCode(refusal.status)
    for name, value in http_headers(refusal, request_id):
        request.setHeader(name, value)
    return http_body(refusal, request_id)


def refusing(refusal: Refusal) -> Page:
    """A page that answers everything with one refusal, in its HTTP form."""
    return Page(lambda request: refused(request, refusal))


def telling(text: Callable[[PlainRequest], str], kind: str = "text/plain; charset=utf-8") -> Page:
    """A page of text that is made for each request, and never cached."""
    return Page(lambda request: _not_read(request) or _told(request, text(request), kind))


def telling_later(text: Callable[[], Coroutine[Any, Any, str]], kind: str) -> Later:
    """The same, of text that takes time."""

    async def answer(request: PlainRequest) -> bytes:
        return _not_read(request) or _told(request, await text(), kind)

    return Later(answer)


def _not_read(request: PlainRequest) -> bytes:
    """The refusal of a request that is not for reading; nothing for one that is."""
    if request.method in (b"GET", b"HEAD"):
        return b""
    return refused(request, refuse("method_not_allowed", "Ask for this with GET."))


def _told(request: PlainRequest, text: str, kind: str) -> bytes:
    request.setHeader("Content-Type", kind)
    request.setHeader("Cache-Control", "no-store")
    return text.encode("utf-8")


class Pages(Site):
    """Pages of the relay's own. They show no tracebacks; the relay's records are their log."""

    noisy = displayTracebacks = False

    def __init__(self, root: Resource, reactor: IReactorTime) -> None:
        super().__init__(root, reactor=reactor)

    def log(self, request: HTTPRequest) -> None:
        """Write no access log."""

    def serve(self, address: IAddress, asked: Asked) -> IProtocol:
        """A protocol that answers the one plain request, whose bytes it is given."""
        channel: Any = self.buildProtocol(address)
        channel.requestFactory = partial(PlainRequest, asked=asked)
        return cast(IProtocol, channel)
