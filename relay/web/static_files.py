"""Files of the package that the relay serves as they are."""

from __future__ import annotations

from importlib.resources import files

from relay.rules.refusals import refuse
from relay.web.page import Page, PlainRequest, refused, telling

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

DASHBOARD = {
    "dashboard.js": "text/javascript; charset=utf-8",
    "dashboard-charts.js": "text/javascript; charset=utf-8",
    "dashboard-watch.js": "text/javascript; charset=utf-8",
    "dashboard.css": "text/css; charset=utf-8",
}
"""Those of the dashboard's page."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " worker-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""What a page may do (Content Security Policy, level 3): use files of this relay, and connect."""

SECONDS = 3600
"""How long a browser may keep one."""


def html_page(name: str) -> Page:
    """A page for people, which may do no more than L{POLICY}."""
    body = files("relay.web").joinpath("static", name).read_text("utf-8")

    def answer(request: PlainRequest) -> str:
        request.setHeader("Content-Security-Policy", POLICY)
        request.setHeader("X-Content-Type-Options", "nosniff")
        request.setHeader("Referrer-Policy", "no-referrer")
        return body

    return telling(answer, "text/html; charset=utf-8")


def static_page(name: str) -> Page:
    """
    The page of one file, which is read once.

    @param name: one of L{KINDS}, L{CONSOLE} or L{DASHBOARD}.
    """
    kind = {**KINDS, **CONSOLE, **DASHBOARD}[name]
    body = files("relay.web").joinpath("static", name).read_bytes()

    def answer(request: PlainRequest) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return refused(request, refuse("method_not_allowed", "Ask for this with GET."))
        request.setHeader("Content-Type", kind)
        request.setHeader("Cache-Control", f"public, max-age={SECONDS}")
        request.setHeader("X-Content-Type-Options", "nosniff")
        return body

    return Page(answer)
