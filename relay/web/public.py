"""The relay's own site on the public listener."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import Request

from relay.admission.ephemeral import Mint
from relay.rules.refusals import refuse
from relay.rules.session_kinds import SessionKind
from relay.upstreams.endpoints import Served, normal
from relay.web.admitted import Behind, Door
from relay.web.client_secrets import client_secrets_page
from relay.web.console import Console, Front
from relay.web.models import Model, models_page
from relay.web.page import Page, Pages, PlainRequest, refusing, telling
from relay.web.static_files import KINDS, static_page
from relay.web.unsupported import instead_of

CallAt = Callable[[str], Resource | None]

_MODELS = re.compile("(?:/openai)?/v1/models(?:/(.+))?")
_SECRETS = re.compile("(?:/openai)?/v1/realtime/(translations/)?client_secrets")

WELCOME = """realtime-relay is running.

Point a Realtime client at this address. With the openai package for Python:

    from openai import AsyncOpenAI
    client = AsyncOpenAI(base_url="{base}/v1", api_key="anything")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        print(await connection.recv())

A request that cannot be served is answered with the reason:

    curl -i {base}/v1/realtime
"""


def _nothing(served: Served, request: Request) -> Page:
    path = request.path.decode("latin-1")
    return refusing(refuse("not_found", served.nothing_at(path)))


class Public(Resource):
    """
    The paths of the public listener below the base path.

    @param served: what is served where.
    @param is_ready: tells whether new sessions are let in.
    @param models: those that the settings name (see L{named_by}).
    @param door: decides who may see them, and who may mint.
    @param mint: makes ephemeral secrets.
    @param call_at: makes the page by which calls are set up and ended, if a path has one.
    """

    def __init__(
        self,
        served: Served,
        is_ready: Callable[[], bool],
        models: dict[str, Model],
        door: Door,
        mint: Mint,
        call_at: CallAt,
        console: Console | None,
    ) -> None:
        super().__init__()
        self._models = models
        self._door = door
        self._mint = mint
        self._call_at = call_at
        self._served = served
        self._is_ready = is_ready
        text = telling(self._welcome)
        self.putChild(b"", text if console is None else Front(console.page(), text))
        self.putChild(b"healthz", telling(lambda _: "alive\n"))
        self.putChild(b"readyz", telling(self._ready))
        pages = {name: static_page(name) for name in KINDS}
        for name, page in (pages | (console.files() if console is not None else {})).items():
            self.putChild(name.encode("ascii"), page)

    def _welcome(self, request: PlainRequest) -> str:
        scheme = "https" if request.asked.secure else "http"
        # The front passes only a well-formed Host.
        host = request.getHeader("host") or ""
        return WELCOME.format(base=f"{scheme}://{host}{self._served.base_path}")

    def _ready(self, request: PlainRequest) -> str:
        ready = self._is_ready()
        request.setResponseCode(200 if ready else 503)
        return "ready\n" if ready else "draining\n"

    def render(self, request: PlainRequest) -> bytes:
        """Answer at the base path without a slash at its end: Twisted's method raises for HEAD."""
        return bytes(self.children[b""].render(request))

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Tell the models, mint, or refuse the path, in the form of every refusal."""
        base = self._served.base_path
        below = normal(request.path.decode("latin-1")).removeprefix(base)
        if found := _MODELS.fullmatch(below):
            return Behind(
                self._door, partial(models_page, self._models, name=found[1], base_path=base)
            )
        if found := _SECRETS.fullmatch(below):
            kind: SessionKind = "translation" if found[1] else "realtime"
            return Behind(self._door, partial(client_secrets_page, self._mint, kind=kind))
        if (call := self._call_at(below)) is not None:
            return call
        instead = instead_of(below, request.method.decode("latin-1"), base)
        if instead is not None:
            return refusing(refuse("not_supported", instead))
        return _nothing(self._served, request)


class _Above(Resource):
    """A path above the base path, where nothing is found."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self._served = served

    def getChild(self, path: bytes, request: Request) -> Page:
        """Refuse."""
        return _nothing(self._served, request)

    def render(self, request: PlainRequest) -> bytes:
        """Refuse."""
        return _nothing(self._served, request).render(request)


def public_site(
    served: Served,
    is_ready: Callable[[], bool],
    models: dict[str, Model],
    door: Door,
    mint: Mint,
    call_at: CallAt,
    reactor: IReactorTime,
    console: Console | None = None,
) -> Pages:
    """The relay's own site; see L{Public}."""
    root: Resource = Public(served, is_ready, models, door, mint, call_at, console)
    for segment in reversed(served.base_path.encode("ascii").split(b"/")[1:]):
        above = _Above(served)
        above.putChild(segment, root)
        root = above
    return Pages(root, reactor)
