"""The console: a page on which to talk with a session, and to see what happens to it."""

from __future__ import annotations

import json

from attrs import frozen
from twisted.web.resource import Resource

from relay.simulator.faults import FAULTS
from relay.web.page import Page, PlainRequest, telling
from relay.web.static_files import CONSOLE, html_page, static_page


@frozen
class Console:
    """
    The page, for one relay.

    @ivar is_demo: whether upstream is the simulator, which fails on request and needs no
        credential.
    @ivar model: a model that works.
    """

    is_demo: bool
    model: str

    def page(self) -> Page:
        """The page itself."""
        return html_page("console.html")

    def facts(self) -> Page:
        """What the page asks for: C{console.json}."""
        faults = (
            [{"name": row.name, "text": row.description} for row in FAULTS] if self.is_demo else []
        )
        told = json.dumps({"demo": self.is_demo, "model": self.model, "faults": faults})
        return telling(lambda _: told, "application/json")

    def files(self) -> dict[str, Page]:
        """The other files, by name."""
        return {"console.json": self.facts(), **{name: static_page(name) for name in CONSOLE}}


class Front(Resource):
    """The console for a browser, and a text for all others."""

    isLeaf = True

    def __init__(self, console: Page, text: Page) -> None:
        super().__init__()
        self._console = console
        self._text = text

    def render(self, request: PlainRequest) -> bytes:
        """Answer with the one or the other."""
        is_for_people = "text/html" in (request.getHeader("accept") or "")
        request.responseHeaders.addRawHeader("Vary", "Accept")
        if is_for_people and not request.path.endswith(b"/"):
            return _BEHIND_ITS_SLASH.render(request)
        return (self._console if is_for_people else self._text).render(request)


def _moved(request: PlainRequest) -> bytes:
    """A base path without its slash: the page's files are named relative to it."""
    request.setResponseCode(308)
    request.setHeader("Location", request.path + b"/")
    return b""


_BEHIND_ITS_SLASH = Page(_moved)
