"""Files of the package that the relay serves as they are."""

from __future__ import annotations

from importlib.resources import files

from relay.rules.refusals import refuse
from relay.web.page import Page, PlainRequest, refused

KINDS = {
    "realtime-client.js": "text/javascript; charset=utf-8",
    "realtime-client.d.ts": "text/plain; charset=utf-8",
}
"""The files that every relay serves, each with its type."""

CONSOLE = {
    "console.js": "text/javascript; charset=utf-8",
    "console-bare.js": "text/javascript; charset=utf-8",
    "console-audio.js": "text/javascript; charset=utf-8",
    "capture.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
}
"""Those of the console's page."""

SECONDS = 3600
"""How long a browser may keep one."""


def static_page(name: str) -> Page:
    """
    The page of one file, which is read once.

    @param name: one of L{KINDS} or L{CONSOLE}.
    """
    kind = {**KINDS, **CONSOLE}[name]
    body = files("relay.web").joinpath("static", name).read_bytes()

    def answer(request: PlainRequest) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return refused(request, refuse("method_not_allowed", "Ask for this with GET."))
        request.setHeader("Content-Type", kind)
        request.setHeader("Cache-Control", f"public, max-age={SECONDS}")
        request.setHeader("X-Content-Type-Options", "nosniff")
        return body

    return Page(answer)
