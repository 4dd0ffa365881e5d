"""
JWTs: tokens by which an issuer vouches for a client.

Source: RFC 7519; RFC 8725 for what must not be believed.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from relay.admission.claims import grant_of
from relay.admission.grant import SAFETY, Grant
from relay.admission.request import Admit, Request, Verdict
from relay.config.authorizers import JwtTable
from relay.policy.strict import NotStrict, parse_strict
from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, Refused, refuse

FindKey = Callable[[str | None], Awaitable[Any]]
"""The key of this id; or L{None}. Raises L{relay.rules.refusals.Refused} if it cannot be told."""

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")
"""Also of a token that is not signed: it is a wrong one, and no other credential."""

LONGEST_KEY_ID = 256

_FAULTS = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What PyJWT raises for a token that is none, also where its own checks forget something."""


def issuer_in(credential: str) -> str | None:
    """
    Who issued a token, as it says itself; L{None} if it is no token, or says nothing of the kind.
    """
    form = _FORM.fullmatch(credential)
    said = None if form is None else _said(form[2])
    issuer = None if said is None else said.get("iss")
    return issuer if isinstance(issuer, str) else None


def _said(part: str) -> dict[str, Any] | None:
    try:
        return parse_strict(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, NotStrict):
        return None


def require_jwt(table: JwtTable, find: FindKey) -> Admit:
    """Admit a client with a token of this issuer."""
    reader = jwt.PyJWT({"enforce_minimum_key_length": True})

    async def admit(request: Request) -> Verdict:
        token = request.credential or ""
        issuer = issuer_in(token)
        if issuer is None:
            return _wrong("is no JWT")
        if issuer != table.issuer:
            return _wrong("is of another issuer")
        try:
            kid = _key_id(token, table)
        except _FAULTS as fault:
            return _wrong(str(fault))
        try:
            key = await find(kid)
        except Refused as refused:
            return refused.refusal
        if key is None:
            return _wrong("names no key of its issuer")
        try:
            return _grant(_claims(reader, token, key, table), table)
        except _FAULTS as fault:
            return _wrong(str(fault))

    return admit


def _wrong(fault: str) -> Refusal:
    return refuse("unauthorized", detail=f"the credential: {fault}"[:200])


def _key_id(token: str, table: JwtTable) -> str | None:
    """
    The id of the key that it names. Nothing of this is believed: it only spares a look for keys.

    @raise InvalidValue: if the token cannot be good, whatever its key is.
    """
    head = _said(token.partition(".")[0])
    if head is None:  # also if it says something twice
        raise InvalidValue("has a malformed head")
    if head.get("alg") not in table.algorithms:
        raise InvalidValue("is signed in a way that the settings do not name")
    if "crit" in head or "b64" in head:  # RFC 7515, 4.1.11; RFC 7797
        raise InvalidValue("asks for extensions")
    kid = head.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= LONGEST_KEY_ID):
        raise InvalidValue("names no key")
    return kid


def _claims(reader: jwt.PyJWT, token: str, key: Any, table: JwtTable) -> dict[str, Any]:
    return reader.decode(
        token,
        key,
        algorithms=list(table.algorithms),
        audience=table.audience,
        issuer=table.issuer,
        leeway=table.leeway_seconds,
        options={"require": ["exp", "iss", "aud"]},
    )


def _grant(claims: dict[str, Any], table: JwtTable) -> Grant:
    """
    What the claims come to.

    @raise InvalidValue: if one that is needed is not there, or none of its kind.
    """
    subject = claims.get(table.subject_claim)
    if not isinstance(subject, str):
        raise InvalidValue(f"has no {table.subject_claim}")
    limits = claims.get(table.limits_claim, {}) if table.limits_claim else {}
    safety = claims.get(table.safety_claim) if table.safety_claim else None
    return grant_of(
        {
            "subject": subject,
            "limits": limits,
            "policy": _needed(claims, table.policy_claim, {}),
            "models": _models(claims, table.models_claim),
            "upstream": _needed(claims, table.upstream_claim, None),
            "expires": float(claims["exp"]) + table.leeway_seconds,
            "end_on_expiry": table.end_on_expiry,
            "mints": table.mints,
            "headers": {} if safety is None else {SAFETY: safety},
        }
    )


def _needed(claims: dict[str, Any], name: str | None, unnamed: object) -> object:
    """A claim that narrows what the token is good for: without it there is no session."""
    if name is None:
        return unnamed
    if claims.get(name) is None:
        raise InvalidValue(f"has no {name}")
    return claims[name]


def _models(claims: dict[str, Any], name: str | None) -> list[str] | None:
    if name is None:
        return None
    models = claims.get(name)
    if not isinstance(models, list):
        raise InvalidValue(f"has no list {name}")
    return models
