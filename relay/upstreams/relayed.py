"""
The refusal of another relay: an error object of the type C{relay_error}. It is taken for what it
says.

It may be forged, as anything that an upstream sends. So only codes of the relay's own table count,
numbers are bounded, and texts are scrubbed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from http import HTTPStatus
from typing import get_args

from attrs import evolve

from relay.rules.refusals import KINDS, Kind, Refusal, RefusalCode, Stage, UpstreamFacts, refuse
from relay.rules.said import Said
from relay.rules.scrub import scrub
from relay.rules.values import as_table, as_text

MAX_PATH = 4
"""Most relays, one behind the other, that a refusal tells of."""

_STAGES: tuple[Stage, ...] = get_args(Stage)

OUTER: Mapping[RefusalCode, RefusalCode] = {
    # The caller can correct these.
    "bad_request": "upstream_rejected_request",
    "model_not_allowed": "upstream_rejected_request",
    "head_too_large": "upstream_rejected_request",
    "body_too_large": "upstream_rejected_request",
    # These are about what this relay sends of its own: its key, its URL, its pace, its spending.
    "unauthorized": "upstream_unauthorized",
    "origin_not_allowed": "upstream_refused",
    "host_not_allowed": "upstream_refused",
    "not_found": "upstream_refused",
    "method_not_allowed": "upstream_refused",
    "upgrade_required": "upstream_refused",
    "not_supported": "upstream_refused",
    "request_timeout": "upstream_refused",
    "too_many_sessions": "upstream_rate_limited",
    "rate_limited": "upstream_rate_limited",
    "budget_exhausted": "upstream_quota_exhausted",
    # These are about the other relay itself.
    "internal_error": "upstream_refused",
    "authorizer_unavailable": "upstream_unavailable",
    "limits_unavailable": "upstream_unavailable",
    "relay_full": "upstream_unavailable",
    "draining": "upstream_unavailable",
    # These are about an upstream of the other relay, and mean the same here.
    **{code: code for code in KINDS if code.startswith("upstream_")},
}
"""The code of another relay's refusal to the code that this relay's client gets."""

_KNOWN: Mapping[str, tuple[Kind, RefusalCode]] = {
    inner: (KINDS[inner], code) for inner, code in OUTER.items()
}

_CALLERS = frozenset(status.value for status in HTTPStatus if 400 <= status < 500)

_UNQUOTED = frozenset({"unauthorized", "upstream_unauthorized"})
"""Codes whose text is not passed on, because it may quote a key."""


def refusal_of_relay(
    said: Said, status: int | None, wait: int | None, secrets: Collection[str]
) -> Refusal:
    """
    What another relay's refusal means. The C{upstream} of the result is the one that the other
    relay blames.

    @param said: with C{relayed}.
    @param status: its HTTP status, or what its Close code says of that.
    @param wait: its C{Retry-After}, clamped.
    """
    told = said.relayed or {}
    inner = as_text(told.get("code"))
    kind, code = _KNOWN.get(inner, (KINDS["upstream_refused"], "upstream_refused"))
    retryable = told.get("retryable")
    if not isinstance(retryable, bool):
        retryable = kind.retryable
    text = kind.message if inner in _UNQUOTED else said.message
    message = scrub(f"The upstream relay refused ({inner}): {text}", secrets)
    refusal = refuse(
        code,
        None if inner == "unauthorized" else message,
        status=_status(kind, status) if code == "upstream_rejected_request" else None,
        retryable=retryable,
        upstream=_blamed(told.get("upstream"), MAX_PATH, partial(scrub, secrets=secrets)),
    )
    return evolve(
        refusal,
        retry_after=(wait or kind.retry_after) if retryable else None,
        # A relay whose key is refused to all leaves its upstream alone, and says so by the cause.
        of_request=inner == "upstream_unauthorized" and not told.get("cause"),
    )


def _status(kind: Kind, status: int | None) -> int:
    """The status of a request that the caller can correct: the other relay's own if it may be."""
    return status if status in _CALLERS and status is not None else kind.status


def _blamed(value: object, depth: int, clean: Callable[[str], str]) -> UpstreamFacts | None:
    told = as_table(value)
    name, request_id, stage = (as_text(told.get(key)) for key in ("name", "request_id", "stage"))
    if not name or depth == 0:
        return None
    status = told.get("status")
    return UpstreamFacts(
        clean(name),
        next((known for known in _STAGES if known == stage), None),
        status if isinstance(status, int) and 100 <= status < 600 else None,
        clean(request_id) or None,
        _blamed(told.get("upstream"), depth - 1, clean),
    )
