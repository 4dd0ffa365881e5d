"""
What a client asks for by a call: to set one up, or to do something to one. Pure: what it asks for
and what it may have come in, what is posted to an upstream comes out.

Source: OpenAI's API reference, "Calls" and "Live"; the package C{openai} 3.57 for Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

from attrs import field, frozen

from relay.admission.asking import Answer
from relay.dial.posting import Post
from relay.http.form import NoForm, fields_in, form_of
from relay.policy.check import Check
from relay.policy.denials import DENIALS, Denied
from relay.policy.paths import put, said
from relay.policy.policy import Policy
from relay.policy.strict import NotStrict, parse_strict, serialised
from relay.rules.refusals import Refusal, Refused, refuse
from relay.rules.session_kinds import SessionKind, model_paths
from relay.rules.values import as_table
from relay.upstreams.endpoints import Endpoint, Route
from relay.upstreams.posts import LIVE_CALLS, ON_CALL, ON_LIVE_CALL
from relay.upstreams.upstream import Upstream

MOST_SDP = 65_536
"""Most bytes of an offer; a browser's has 2,000 to 8,000."""

WANTED = "Send an SDP offer, as application/sdp or as the field sdp of a form."
NO_KIND = "session.type must be one of {}."
TYPED = ("realtime", "transcription")
"""The kinds whose sessions name their own type at the beginning."""

WEBRTC = 'transport must be {"type": "webrtc", "sdp": …}.'

_JSON = "application/json"

Table = dict[str, Any]


def _bad(message: str) -> Refused:
    return Refused(refuse("bad_request", message))


def _object(value: object, name: str) -> Table:
    if value is not None and not isinstance(value, dict):
        raise _bad(f"{name} must be an object.")
    return cast(Table, value or {})


def _parsed(body: bytes, name: str) -> Table:
    try:
        return parse_strict(body or b"{}")
    except NotStrict as fault:
        raise _bad(f"Send {name} as a JSON object: {fault}.") from None


@frozen
class Order:
    """
    What is asked for.

    @ivar endpoint: a row of L{relay.upstreams.posts}.
    @ivar offer: the SDP of a client that sets up a call.
    @ivar session: fields of the session; L{None} if it sets up none.
    @ivar said: what else it says.
    """

    endpoint: Endpoint
    offer: str | None = field(default=None, repr=False)
    session: Table | None = field(default=None, repr=False)
    said: Table = field(factory=dict, repr=False)

    @property
    def kind(self) -> SessionKind:
        """The kind of session that it sets up, as far as the client says."""
        if self.endpoint == ON_CALL:
            return "realtime"
        if self.endpoint in (LIVE_CALLS, ON_LIVE_CALL):
            return "live"
        asked = (self.session or {}).get("type", self.endpoint.kind)
        kinds = (self.endpoint.kind, *self.endpoint.also)
        if asked not in kinds:
            raise _bad(NO_KIND.format(", ".join(kinds)))
        return cast(SessionKind, asked)

    @property
    def kinds(self) -> tuple[SessionKind, ...]:
        """The kinds that it may set up: the one that the client says, or any of the endpoint's."""
        if self.offer is None:
            return ()
        if "type" in (self.session or {}):
            return (self.kind,)
        return (self.endpoint.kind, *self.endpoint.also)

    @property
    def model(self) -> str | None:
        """The model that the session names; L{None} if it names none."""
        return model_in(self.session or {}, self.kind)

    @property
    def is_by_webrtc(self) -> bool:
        """Whether the client will have a channel of its own, by which events go past the relay."""
        return self.offer is not None


def order_in(route: Route, kind: str, body: bytes) -> Order:
    """
    What a request asks for.

    @param kind: its C{Content-Type}.
    @raise Refused: for anything else.
    """
    endpoint = route.endpoint
    if endpoint in (ON_CALL, ON_LIVE_CALL):
        said = _parsed(body, "the body")
        if route.parts["verb"] != "accept":
            return Order(endpoint, said=said)
        session = said if endpoint == ON_CALL else _object(said.pop("session", None), "session")
        return _whole(Order(endpoint, None, session, {} if endpoint == ON_CALL else said))
    if endpoint == LIVE_CALLS:
        said = _parsed(body, "the body")
        transport = _object(said.pop("transport", None), "transport")
        if transport.get("type") != "webrtc" or transport.keys() != {"type", "sdp"}:
            raise _bad(WEBRTC)
        session = _object(said.pop("session", None), "session")
        return _whole(Order(endpoint, _offer(transport["sdp"]), session, said))
    offer, session = _form(kind, body)
    return _whole(Order(endpoint, offer, session))


def _whole(order: Order) -> Order:
    """The same, whose kind and model are well said."""
    _ = order.model
    return order


def _form(kind: str, body: bytes) -> tuple[str, Table]:
    plain = kind.partition(";")[0].strip().lower()
    if plain == "application/sdp":
        return _offer(body), {}
    if plain == _JSON:
        said = _parsed(body, "the body")
        return _offer(said.get("sdp")), _object(said.get("session"), "session")
    if plain != "multipart/form-data":
        raise _bad(WANTED)
    try:
        fields = fields_in(kind, body)
    except NoForm as fault:
        raise _bad(f"The form cannot be read: {fault}.") from None
    return _offer(fields.get("sdp")), _parsed(fields.get("session", b""), "session")


def _offer(value: object) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = None
    if not isinstance(value, str) or not value.startswith("v=0"):
        raise _bad(WANTED)
    if len(value.encode("utf-8", "replace")) > MOST_SDP:
        raise Refused(refuse("body_too_large"))
    return value


def model_in(session: Mapping[str, Any], kind: str) -> str | None:
    """
    The model that a session names.

    @raise Refused: if that is no name.
    """
    for path in model_paths(kind):
        for value in said(dict(session), path):
            if not isinstance(value, str) or not value or not value.isprintable():
                raise _bad(f"session.{'.'.join(path)} must be a string, not empty.")
            return value
    return None


def _model_path(kind: str) -> tuple[str, ...]:
    return model_paths(kind)[1 if kind == "transcription" else 0]


def set_up(order: Order, policy: Policy, named: str | None) -> Order:
    """
    The order as a policy lets it be, with its model, and every value that the policy forces.

    @param named: the model that the request's query names; L{None} if it names none.
    @raise Refused: for what the policy does not allow.
    """
    if order.session is None:
        return order
    session = deepcopy(order.session)
    kind = policy.force.get("type", order.kind)  # it is forced by a secret for a transcription
    if kind not in (order.kind, *order.kinds):
        raise _bad(NO_KIND.format(order.kind))
    only = policy.models[0] if policy.models and len(policy.models) == 1 else None
    model = model_in(session, kind) or named or only
    refusal = policy.refusal_of(model)
    if refusal is not None:
        raise Refused(refusal)
    if model is not None:
        put(session, _model_path(kind), model)
    if kind in TYPED:
        session["type"] = kind
    try:
        if len(serialised(session)) > policy.event_bytes:
            raise Denied("event_too_large", str(policy.event_bytes))
        made = Check(policy, "").set_up(session, kind)
    except Denied as denied:
        raise Refused(_refusal(denied)) from None
    return Order(order.endpoint, order.offer, made, order.said)


def _refusal(denied: Denied) -> Refusal:
    if denied.code == "model_not_allowed":
        return refuse("model_not_allowed")
    return refuse("bad_request", DENIALS[denied.code].format(detail=denied.detail))


def call_id_in(route: Route, answer: Answer) -> str | None:
    """The id of the call that an upstream's answer is about, as the upstream itself knows it."""
    if "id" in route.parts:
        return route.parts["id"]
    if route.endpoint == LIVE_CALLS:
        try:
            return str(as_table(as_table(json.loads(answer.body)).get("session"))["id"])
        except (ValueError, KeyError):
            return None
    place = answer.headers.get("location", "").partition("?")[0].rstrip("/")
    return place.rpartition("/")[2] or None


def post_to(order: Order, upstream: Upstream) -> Post:
    """What is posted to this upstream."""
    if order.session is None:
        return Post(serialised(order.said), _JSON) if order.said else Post()
    session = _renamed(order, upstream)
    if order.endpoint == ON_CALL:
        return Post(serialised(session), _JSON)
    if order.endpoint == ON_LIVE_CALL:
        return Post(serialised({**order.said, "session": session}), _JSON)
    if order.endpoint == LIVE_CALLS:
        transport = {"type": "webrtc", "sdp": order.offer}
        return Post(serialised({**order.said, "session": session, "transport": transport}), _JSON)
    offer = (order.offer or "").encode("utf-8", "replace")
    fields = [("sdp", "application/sdp", offer), ("session", _JSON, serialised(session))]
    kind, body = form_of(fields)
    return Post(body, kind)


def _renamed(order: Order, upstream: Upstream) -> Table:
    """The session, whose model has the name that it has there."""
    session, kind = deepcopy(order.session or {}), str((order.session or {}).get("type"))
    for path in model_paths(kind):
        for value in said(session, path):
            put(session, path, upstream.models.get(value, value))
    return session
