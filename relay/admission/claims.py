"""A grant as JSON: in an ephemeral secret, and in a callback's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import AttrsInstance, asdict, fields

from relay.admission.grant import Grant
from relay.admission.quota import GrantLimits
from relay.policy.policy import Policy
from relay.rules.errors import InvalidValue

CLAIMS = tuple(each.name for each in fields(Grant) if each.name != "mints")
"""What is told of a grant. A secret is none of who may mint."""


def claims_of(grant: Grant) -> dict[str, object]:
    """The fields that are not as by default."""
    claims = {name: getattr(grant, name) for name in CLAIMS}
    claims["limits"], claims["policy"] = _said(grant.limits), _said(grant.policy)
    return {
        name: value
        for name, value in claims.items()
        if value is not None and value is not False and value != {}
    }


def _said(value: AttrsInstance) -> dict[str, object]:
    usual = asdict(type(value)())
    return {name: each for name, each in asdict(value).items() if each != usual[name]}


def grant_of(claims: Mapping[str, Any]) -> Grant:
    """
    The grant that these claims describe. It mints nothing unless they say so.

    @raise InvalidValue: for a claim that is none, or has no such value.
    """
    said = {"mints": False, **claims}
    limits = _built(GrantLimits, "limits", said.pop("limits", {}))
    policy = _built(Policy, "policy", _frozen(said.pop("policy", {})))
    grant: Grant = _built(Grant, "grant", {**said, "limits": limits, "policy": policy})
    return grant


def _frozen(said: Any) -> Any:
    if not isinstance(said, Mapping):
        return said
    return {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}


def _built(kind: Any, name: str, said: Any) -> Any:
    if not isinstance(said, Mapping):
        raise InvalidValue(f"{name} must be a table")
    unknown = said.keys() - {each.name for each in fields(kind)}
    if unknown:
        raise InvalidValue(f"{name} has an unknown field {min(map(str, unknown))[:60]!r}")
    try:
        return kind(**said)
    except (TypeError, OverflowError):
        raise InvalidValue(f"{name} has a value of a wrong type") from None
