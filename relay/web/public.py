"""The relay's own site on the public listener."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from relay.refusals import Refusal, http_body, http_headers, refuse

WELCOME = """realtime-relay is running.

Point a Realtime client at this address. With the openai package for Python:

    from openai import AsyncOpenAI
    client = AsyncOpenAI(base_url="{base}/v1", api_key="anything")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        print(await connection.recv())

A request that cannot be served is answered with the reason:

    curl -i {base}/v1/realtime
"""


class Refuse(Resource):
    """Answers everything with one refusal."""

    isLeaf = True

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self._refusal = refusal

    def render(self, request: HTTPRequest) -> bytes:
        """The HTTP form of the refusal."""
        request_id = f"req_{secrets.token_hex(12)}"
        request.setResponseCode(self._refusal.status)
        for name, value in http_headers(self._refusal, request_id):
            request.setHeader(name, value)
        return http_body(self._refusal, request_id)


class Text(Resource):
    """Answers GET with plain text."""

    isLeaf = True

    def __init__(self, render: Callable[[HTTPRequest], str]) -> None:
        super().__init__()
        self._text = render

    def render_GET(self, request: HTTPRequest) -> bytes:
        """The text, never from a cache."""
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        return self._text(request).encode("utf-8")


def _welcome(request: HTTPRequest) -> str:
    scheme = "https" if request.isSecure() else "http"
    # The front has let only well-formed Hosts pass.
    host = (request.getHeader("host") or "").strip()
    return WELCOME.format(base=f"{scheme}://{host}")


class Public(Resource):
    """
    The root of the public listener.

    @param is_ready: whether new sessions are let in.
    """

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        super().__init__()
        self._is_ready = is_ready
        self.putChild(b"", Text(_welcome))
        self.putChild(b"healthz", Text(lambda _: "alive\n"))
        self.putChild(b"readyz", Text(self._ready))

    def _ready(self, request: HTTPRequest) -> str:
        ready = self._is_ready()
        request.setResponseCode(200 if ready else 503)
        return "ready\n" if ready else "draining\n"

    def getChild(self, path: bytes, request: HTTPRequest) -> Resource:
        """Everything else is refused in the shape of every refusal."""
        if request.path.endswith(b"/v1/realtime/calls"):
            return Refuse(refuse("not_supported"))
        return Refuse(refuse("not_found"))


class _QuietSite(Site):
    noisy = False

    def log(self, request: HTTPRequest) -> None:
        """Write no access log."""


def public_site(is_ready: Callable[[], bool]) -> Site:
    """The site, which logs nothing: the relay's records do."""
    site = _QuietSite(Public(is_ready))
    site.displayTracebacks = False
    return site
