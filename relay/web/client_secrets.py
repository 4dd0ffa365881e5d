"""
Ephemeral secrets by HTTP, in OpenAI's own shape: C{POST /v1/realtime/client_secrets}.

Source: OpenAI's API reference, "Client secrets"; the package C{openai} 3.57 for Python
(C{resources/realtime/client_secrets}, C{resources/realtime/translations}).
"""

from __future__ import annotations

import json
from secrets import token_hex
from typing import Any, cast

from attrs import evolve, field, frozen

from relay.admission.ephemeral import PLACES, Mint, Minted
from relay.admission.grant import SAFETY, Grant
from relay.admission.origins import is_origin
from relay.policy.paths import leaves, said
from relay.policy.policy import fixing
from relay.policy.strict import NotStrict, parse_strict
from relay.rules.refusals import Refused, refuse
from relay.rules.session_kinds import SessionKind, lacks, model_paths
from relay.timing.clock import epoch
from relay.web.page import Page, PlainRequest, bad, refused

SECONDS = (10, 7200)
"""Fewest and most seconds that a secret may be valid for."""

DEFAULT_SECONDS = 600

LONGEST = 6000
"""
Most characters of a secret. It crosses in a header, and proxies take 8 KiB of them: the rest is for
the others.
"""

OBJECTS = {
    "realtime": {"object": "realtime.session"},
    "transcription": {"object": "realtime.transcription_session"},
}
"""What OpenAI calls the object of each type of session; a translation has no such name."""

NOT_FIXED = ("type", "id", "object")
"""Fields that say what the session is. What opens it is bound to its type."""

NO_CHAIN = "An ephemeral secret cannot mint another; send the key that it was minted with."
TOO_LONG = (
    "Send fewer session fields, or shorter ones: an ephemeral secret carries them, in"
    f" {LONGEST} characters."
)


def _table(value: object, name: str) -> dict[str, Any]:
    """An object, or nothing, which is an empty one."""
    if value is not None and not isinstance(value, dict):
        raise bad(f"{name} must be an object.")
    return value or {}


def _name(value: object, name: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value or not value.isprintable()):
        raise bad(f"{name} must be a string, not empty.")
    return value


@frozen
class Order:
    """
    What is asked for.

    @ivar kind: the kind of session that it is for.
    @ivar seconds: how long the secret is to be valid.
    @ivar session: fields of the session.
    @ivar models: the models that its fields name. Without any it is for all that its maker may ask
        for.
    @ivar origin: the Origin of the one page that may send it.
    """

    kind: SessionKind
    seconds: int
    session: dict[str, Any] = field(repr=False)
    models: tuple[str, ...]
    origin: str | None


def order_in(body: bytes, usual: SessionKind) -> Order:
    """
    What the body of a request asks for; an empty one asks for what is usual.

    @param usual: the kind of a session that names none.
    @raise Refused: with C{bad_request} for anything else.
    """
    try:
        value = parse_strict(body or b"{}")
    except NotStrict as fault:
        raise bad(f"Send a JSON object: {fault}.") from None
    session = _table(value.get("session"), "session")
    origin = _name(value.get("origin"), "origin")
    if origin is not None and not is_origin(origin):
        raise bad("origin must be an origin like https://app.example.")
    seconds = _seconds(_table(value.get("expires_after"), "expires_after"))
    kind = _kind(session, usual)
    return Order(kind, seconds, session, _models(session, kind), origin)


def _kind(session: dict[str, Any], usual: SessionKind) -> SessionKind:
    """The kind of session, which has all the fields that are asked for."""
    kind = session.get("type", usual)
    if not isinstance(kind, str) or kind not in PLACES:
        raise bad(f"session.type must be one of {', '.join(PLACES)}.")
    for path, _ in leaves(session):
        if lacks(kind, path):
            raise bad(f"Leave session.{'.'.join(path)} out: a {kind} session has no such field.")
    return cast(SessionKind, kind)


def _models(session: dict[str, Any], kind: SessionKind) -> tuple[str, ...]:
    named = [
        _name(value, "session." + ".".join(path))
        for path in model_paths(kind)
        for value in said(session, path)
    ]
    return tuple(filter(None, named))


def _seconds(after: dict[str, Any]) -> int:
    if after.get("anchor", "created_at") != "created_at":
        raise bad('expires_after.anchor must be "created_at".')
    seconds = after.get("seconds", DEFAULT_SECONDS)
    least, most = SECONDS
    is_number = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not is_number or not least <= seconds <= most:
        raise bad(f"expires_after.seconds must be a whole number, {least} to {most}.")
    return int(seconds)


def minted_for(order: Order, grant: Grant, safety: str | None, now: float) -> Minted:
    """
    What is minted for who has this grant: never more than the grant itself.

    @param safety: whose session it will be, as the request says; see L{SAFETY}.
    @param now: seconds since 1970.
    @raise Refused: if the grant does not go so far.
    """
    if not grant.mints:
        raise Refused(refuse("unauthorized", NO_CHAIN, status=403))
    bounds = grant.bounds
    if not all(map(bounds.allows_model, order.models)):
        raise Refused(refuse("model_not_allowed"))
    fields = {name: value for name, value in order.session.items() if name not in NOT_FIXED}
    if order.kind == "transcription":
        # An upstream that does not know the intent opens a conversation, and then rejects this.
        fields["type"] = order.kind
    ends = int(now) + order.seconds
    headers = {name.title(): value for name, value in grant.headers.items()}
    if safety and safety.isprintable():  # else it has a tab
        headers.setdefault(SAFETY.title(), safety)
    own = evolve(
        grant,
        expires=ends if grant.expires is None else min(ends, int(grant.expires)),
        models=None,
        policy=fixing(fields).within(bounds),
        headers=headers,
        mints=False,
    )
    return Minted(own, order.kind, order.origin, token_hex(8), int(now))


def client_secrets_page(mint: Mint, grant: Grant, kind: SessionKind) -> Page:
    """
    The page that mints for who has this grant.

    @param kind: the kind of a session that names none.
    """

    def answer(request: PlainRequest) -> bytes:
        if request.method != b"POST":
            body = refused(request, refuse("method_not_allowed", "Ask for this with POST."))
            request.setHeader("Allow", "POST")
            return body
        try:
            told = json.dumps(_told(mint, grant, kind, request))
        except Refused as failed:
            return refused(request, failed.refusal)
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return told.encode("ascii") + b"\n"

    return Page(answer)


def _told(mint: Mint, grant: Grant, kind: SessionKind, request: PlainRequest) -> dict[str, object]:
    content: Any = request.content
    order = order_in(content.read(), kind)
    safety = request.asked.request.head.one(SAFETY.lower())
    minted = minted_for(order, grant, safety, epoch())
    secret = mint.mint(minted)
    if len(secret) > LONGEST:
        raise bad(TOO_LONG)
    session = {**order.session, "type": order.kind, "id": f"sess_{minted.id}"}
    session |= OBJECTS.get(order.kind, {})
    return {"value": secret, "expires_at": minted.grant.expires, "session": session}
