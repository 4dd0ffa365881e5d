"""What the pages of the relay's own sites have in common."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from relay.rules.refusals import Refusal, http_body, http_headers, refuse
from relay.telemetry.records import new_request_id


class Page(Resource):
    """
    A resource that answers every method, and has no children.

    Twisted's own answer to a wrong method quotes the URI. Its answer to HEAD logs the body.

    @param answer: sets status and headers, and returns the body.
    """

    isLeaf = True

    def __init__(self, answer: Callable[[HTTPRequest], bytes]) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: HTTPRequest) -> bytes:
        """The answer, without its body for HEAD."""
        request.responseHeaders.removeHeader(b"Server")
        body = self._answer(request)
        request.setHeader("Content-Length", str(len(body)))
        return b"" if request.method == b"HEAD" else body


def refused(request: HTTPRequest, refusal: Refusal) -> bytes:
    """Write the head of a refusal in its HTTP form; return its body."""
    request_id = new_request_id()
    request.setResponseCode(refusal.status)
    for name, value in http_headers(refusal, request_id):
        request.setHeader(name, value)
    return http_body(refusal, request_id)


def refusing(refusal: Refusal) -> Page:
    """A page that answers everything with one refusal, in its HTTP form."""
    return Page(lambda request: refused(request, refusal))


def telling(text: Callable[[HTTPRequest], str], kind: str = "text/plain; charset=utf-8") -> Page:
    """A page of text that is made for each request, and never cached."""

    def answer(request: HTTPRequest) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return refused(request, refuse("method_not_allowed", "Ask for this with GET."))
        request.setHeader("Content-Type", kind)
        request.setHeader("Cache-Control", "no-store")
        return text(request).encode("utf-8")

    return Page(answer)


class _QuietSite(Site):
    noisy = False

    def log(self, request: HTTPRequest) -> None:
        """Write no access log: the relay's records are the log."""


def quiet_site(root: Resource, reactor: IReactorTime) -> Site:
    """A site that logs nothing and shows no tracebacks."""
    site = _QuietSite(root, reactor=reactor)
    site.displayTracebacks = False
    return site
