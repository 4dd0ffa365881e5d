"""The admin listener: dashboard, health, metrics and drain, for the operator."""

from __future__ import annotations

import json
from collections.abc import Callable

from attrs import evolve
from prometheus_client import CONTENT_TYPE_LATEST
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import ACCEPTED, OK, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import Request

from relay.downstream.fronts import FrontFactory
from relay.downstream.gate import FrontContext
from relay.rules.refusals import refuse
from relay.web.dashboard import Dashboard
from relay.web.overview import Overview, answered
from relay.web.page import Page, Pages, PlainRequest, refused, refusing, telling, telling_later
from relay.web.sessions import Sessions
from relay.web.watchers import Places

NOTHING_HERE = "Ask for /healthz, /readyz, /metrics, /sessions or /events, or POST to /drain."
WELCOME = """realtime-relay, for its operator. In a browser, this page is a dashboard.

GET /healthz             whether the process is alive
GET /readyz              whether the relay takes new sessions, and how its upstreams are doing
GET /metrics             the metrics, for Prometheus
GET /sessions            the sessions that are open
GET /sessions/ID/events  watch one of them, by server-sent events
DELETE /sessions/ID      end one of them
GET /events              what the dashboard shows, once a second, by server-sent events
POST /drain              end the relay
"""

NOT_FROM_OUTSIDE = "Ask for this on an admin listener on loopback or a Unix socket."


class Admin(Resource):
    """
    The paths of the admin listener.

    @param drain: begins the drain.
    @param is_private: tells whether no other machine can ask here. Only then a request may begin
        the drain, or see, watch and end sessions.
    @param dashboard: has pages of its own.
    @param sessions: their pages.
    """

    def __init__(
        self,
        overview: Overview,
        drain: Callable[[], object],
        is_private: Callable[[], bool],
        dashboard: Dashboard,
        sessions: Sessions,
    ) -> None:
        super().__init__()
        self._overview = overview
        self._drain = drain
        self._is_private = is_private
        for name, page in dashboard.pages(telling(lambda _: WELCOME)).items():
            self.putChild(name.encode("ascii"), page)
        self.putChild(b"healthz", telling(lambda _: "alive\n"))
        self.putChild(b"readyz", telling(self._ready, "application/json"))
        self.putChild(b"metrics", telling_later(self._metrics, CONTENT_TYPE_LATEST))
        self.putChild(b"drain", Page(self._begin_drain))
        self.putChild(b"sessions", sessions)

    async def _metrics(self) -> str:
        counted = await answered(self._overview.snapshot())
        return counted.exposition().decode("utf-8")

    def _ready(self, request: PlainRequest) -> str:
        """
        Ready until told to end, even if every upstream is down: else a balancer would answer with
        an error of its own where the relay tells the reason.
        """
        state = self._overview.state
        request.setResponseCode(OK if state == "ready" else SERVICE_UNAVAILABLE)
        told = {"state": state, "upstreams": self._overview.upstreams()}
        fleet = self._overview.fleet()
        return json.dumps(told if fleet is None else {**told, "fleet": fleet}) + "\n"

    def _begin_drain(self, request: PlainRequest) -> bytes:
        if request.method != b"POST":
            body = refused(request, refuse("method_not_allowed", "Ask for this with POST."))
            request.setHeader("Allow", "POST")
            return body
        if not self._is_private():
            return refused(request, refuse("unauthorized", NOT_FROM_OUTSIDE, status=403))
        if self._overview.state != "draining":
            self._drain()
        request.setResponseCode(ACCEPTED)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return b"draining\n"

    def getChild(self, path: bytes, request: Request) -> Page:
        """Refuse all other paths, in the form of every refusal."""
        return refusing(refuse("not_found", NOTHING_HERE))


class AdminFactory(FrontFactory):
    """
    Builds the protocol of each connection to the admin listener.

    Host and Origin are checked as on any listener without authentication. For a request that
    changes something, the Origin is checked more strictly.
    """

    def __init__(
        self,
        fronts: FrontFactory,
        overview: Overview,
        drain: Callable[[], object],
        reactor: IReactorTime,
    ) -> None:
        super().__init__(fronts.context())
        self._fronts = fronts
        self._is_public = True
        is_private, places = self._is_private, Places()
        dashboard = Dashboard(overview, is_private, places, reactor)
        payloads = self._shows_payloads
        sessions = Sessions(overview.directory, is_private, NOT_FROM_OUTSIDE, places, payloads)
        root = Admin(overview, drain, is_private, dashboard, sessions)
        self._pages = Pages(root, reactor)

    def _is_private(self) -> bool:
        return not self._is_public

    def _shows_payloads(self) -> bool:
        return self._fronts.context().holds.settings.watch == "payload"

    def context(self) -> FrontContext:
        """That of the relay's own listeners, for this one."""
        context = self._fronts.context()
        return evolve(
            context,
            holds=evolve(context.holds, admit=None, guarded=False),
            websocket=None,
            own=self._pages,
            site=None,
            administers=True,
            probed=self._is_public,
        )

    def set_public(self, is_public: bool) -> None:
        """
        Say whether other machines can reach the listener. Until this is called, it is taken for
        public. A public one accepts no drain, shows no sessions, and is more lenient with the
        Host (see L{FrontContext}).
        """
        self._is_public = is_public
