"""The admin listener: health, metrics and drain, for the operator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from attrs import evolve
from prometheus_client import CONTENT_TYPE_LATEST
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import ACCEPTED, OK, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import Request

from relay.downstream.fronts import FrontFactory
from relay.downstream.gate import FrontContext
from relay.lifecycle.handles import Handles
from relay.rules.refusals import refuse
from relay.telemetry.metrics import Metrics, Scraped
from relay.upstreams.balancing import Standing
from relay.upstreams.diagnosis import failure_as_json
from relay.web.page import Page, Pages, PlainRequest, refused, refusing, telling
from relay.web.sessions import Sessions

NOTHING_HERE = "Ask for /healthz, /readyz, /metrics or /sessions, or POST to /drain."
NOT_FROM_OUTSIDE = "Ask for this on an admin listener on loopback or a Unix socket."


class Administered(Scraped, Protocol):
    """What the admin listener shows and drains: a L{relay.RelayFactory}."""

    handles: Handles

    @property
    def is_ready(self) -> bool:
        """Whether it has not been told to end."""


class Admin(Resource):
    """
    The paths of the admin listener.

    @param drain: begins the drain.
    @param is_private: tells whether no other machine can ask here. Only then a request may begin
        the drain, or see and end sessions.
    """

    def __init__(
        self,
        relay: Administered,
        metrics: Metrics,
        drain: Callable[[], object],
        is_private: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._relay = relay
        self._drain = drain
        self._is_private = is_private
        self.putChild(b"healthz", telling(lambda _: "alive\n"))
        self.putChild(b"readyz", telling(self._ready, "application/json"))
        scrape = telling(lambda _: metrics.scrape(relay).decode("utf-8"), CONTENT_TYPE_LATEST)
        self.putChild(b"metrics", scrape)
        self.putChild(b"drain", Page(self._begin_drain))
        self.putChild(b"sessions", Sessions(relay.handles, is_private, NOT_FROM_OUTSIDE))

    def _ready(self, request: PlainRequest) -> str:
        """
        Ready until told to end, even if every upstream is down: else a balancer would answer with
        an error of its own where the relay tells the reason.
        """
        ready = self._relay.is_ready
        request.setResponseCode(OK if ready else SERVICE_UNAVAILABLE)
        state = "ready" if ready else "draining"
        upstreams = [_told(standing) for standing in self._relay.standings]
        return json.dumps({"state": state, "upstreams": upstreams}) + "\n"

    def _begin_drain(self, request: PlainRequest) -> bytes:
        if request.method != b"POST":
            body = refused(request, refuse("method_not_allowed", "Ask for this with POST."))
            request.setHeader("Allow", "POST")
            return body
        if not self._is_private():
            return refused(request, refuse("unauthorized", NOT_FROM_OUTSIDE, status=403))
        if self._relay.is_ready:  # if not, it drains already
            self._drain()
        request.setResponseCode(ACCEPTED)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return b"draining\n"

    def getChild(self, path: bytes, request: Request) -> Page:
        """Refuse all other paths, in the form of every refusal."""
        return refusing(refuse("not_found", NOTHING_HERE))


def _told(standing: Standing) -> dict[str, object]:
    """An upstream for C{/readyz}: why its breaker is not closed, in the words of the check."""
    told: dict[str, object] = {
        "name": standing.upstream.name,
        "breaker": standing.breaker_state,
        "sessions": standing.sessions,
    }
    trouble = standing.trouble
    if trouble is not None:
        told |= {
            "failure": failure_as_json(trouble.finding),
            "since": trouble.cause.since,
            "next_try_seconds": round(trouble.wait, 1),
        }
    return told


class AdminFactory(FrontFactory):
    """
    Builds the protocol of each connection to the admin listener.

    Host and Origin are checked as on any listener without authentication. For a request that
    changes something, the Origin is checked more strictly.
    """

    def __init__(
        self,
        fronts: FrontFactory,
        relay: Administered,
        metrics: Metrics,
        drain: Callable[[], object],
        reactor: IReactorTime,
    ) -> None:
        super().__init__(fronts.context())
        self._fronts = fronts
        self._is_public = True
        root = Admin(relay, metrics, drain, lambda: not self._is_public)
        self._pages = Pages(root, reactor)

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
