"""What an C{admit} callable is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import Factory, field, frozen

from relay.admission.grant import Grant
from relay.http.head import Head
from relay.rules.refusals import Refusal
from relay.rules.session_kinds import SessionKind
from relay.rules.subprotocols import credential_in, is_beta
from relay.upstreams.endpoints import BETA, Route, route_of

_BEARER = "bearer "

EPHEMERAL = "ek_"
"""How an ephemeral secret begins, OpenAI's too."""


@frozen
class Request:
    """
    A client's request for a session.

    @ivar id: the request's id, as in the records.
    @ivar peer: the address of the connection's other end, without port.
    @ivar head: the whole request head.
    @ivar route: what its path asks for; L{None} if that is neither a WebSocket of the relay nor a
        call.
    @ivar body_model: the model that its body names, if it sets up a call.
    @ivar body_kinds: the kinds of session that its body leaves open; without any, L{kind} tells.
    """

    id: str
    peer: str
    head: Head = field(repr=False)
    route: Route | None = field(
        default=Factory(lambda request: route_of(request.head.path), takes_self=True), repr=False
    )
    body_model: str | None = field(default=None, repr=False)
    body_kinds: tuple[SessionKind, ...] = field(default=(), repr=False)

    @property
    def credential(self) -> str | None:
        """
        The Bearer token; or the one that a browser sent as a subprotocol; or Azure's C{api-key}; or
        what the provider's own SDK sends by this path, in a header or in the query. In a query only
        an ephemeral secret counts, because URLs end up in logs.
        """
        authorization = self.head.one("authorization") or ""
        if authorization[: len(_BEARER)].lower() == _BEARER:
            return authorization[len(_BEARER) :].strip()
        return credential_in(self.head.subprotocols) or self._credential_of_path()

    def _credential_of_path(self) -> str | None:
        found = [self.head.one("api-key")]
        if self.route is not None:
            path, query = self.route.path, dict(self.head.query)
            short = [query.get(name, "") for name in path.parameters]
            found += [each for each in short if each.startswith(EPHEMERAL)]
            found += map(self.head.one, path.headers)
        return next(filter(None, found), None)

    @property
    def origin(self) -> str | None:
        """The Origin header, which names a browser's page; L{None} without one."""
        return self.head.one("origin")

    @property
    def model(self) -> str | None:
        """The model that the request asks for; L{None} if it names none."""
        return self.body_model or self._named("model")

    @property
    def call_id(self) -> str | None:
        """The call, or the session of the Live API, that it is about; L{None} if it is of none."""
        parts = {} if self.route is None else self.route.parts
        return parts.get("id") or self._named("call_id")

    def _named(self, parameter: str) -> str | None:
        query = self.head.query
        return dict(query if self.route is None else self.route.named(query)).get(parameter)

    @property
    def kind(self) -> SessionKind | None:
        """The kind of session that it asks for; L{None} if it asks for a plain page."""
        return None if self.route is None else self.route.kind(self.head.query)

    def may_open(self, kind: SessionKind) -> bool:
        """Whether what it asks for may be of this kind, as any plain page may."""
        return self.route is None or kind in (self.body_kinds or (self.kind,))

    @property
    def is_beta(self) -> bool:
        """Whether the client speaks the form of events that OpenAI has retired."""
        asked = self.head.elements(BETA)
        return any(each.startswith("realtime=") for each in asked) or is_beta(
            self.head.subprotocols
        )


Verdict = Grant | Refusal
Admit = Callable[[Request], Verdict | Awaitable[Verdict]]
"""Decides on a request, at once or by an awaitable such as a Deferred."""
