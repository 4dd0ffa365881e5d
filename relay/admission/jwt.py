"""
JWTs: tokens by which an issuer vouches for a client.

Source: RFC 7519; RFC 8725 for what must not be believed.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import jwt

from relay.admission.claims import limits_of
from relay.admission.grant import Grant
from relay.admission.request import Admit, Request, Verdict
from relay.config.authorizers import JwtTable
from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, Refused, refuse

FindKey = Callable[[str | None], Awaitable[Any]]
"""The key of this id; or L{None}. Raises L{relay.rules.refusals.Refused} if it cannot be told."""

SAFETY = "OpenAI-Safety-Identifier"

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

_FAULTS = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What PyJWT raises for a token that is none, also where its own checks forget something."""


def require_jwt(table: JwtTable, find: FindKey) -> Admit:
    """Admit a client with a token of this issuer."""
    reader = jwt.PyJWT({"enforce_minimum_key_length": True})

    async def admit(request: Request) -> Verdict:
        token = request.credential or ""
        if not _FORM.fullmatch(token):
            return _wrong("is no JWT")
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

    @raise InvalidValue: if it cannot be a token of this issuer.
    """
    head = jwt.get_unverified_header(token)
    if head.get("alg") not in table.algorithms:
        raise InvalidValue("is signed in a way that the settings do not name")
    if "crit" in head:
        raise InvalidValue("asks for extensions")
    said = jwt.decode(token, options={"verify_signature": False})
    if said.get("iss") != table.issuer:
        raise InvalidValue("is of another issuer")
    kid = head.get("kid")
    if kid is not None and not isinstance(kid, str):
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
    return Grant(
        subject,
        limits_of(limits),
        models=_models(claims, table.models_claim),
        expires=float(claims["exp"]) + table.leeway_seconds,
        end_on_expiry=table.end_on_expiry,
        mints=table.mints,
        headers={} if safety is None else {SAFETY: safety},
    )


def _models(claims: dict[str, Any], name: str | None) -> list[str] | None:
    if name is None:
        return None
    models = claims.get(name)
    if not isinstance(models, list):
        raise InvalidValue(f"has no list {name}")
    return models
