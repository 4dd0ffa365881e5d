"""
How a refusal looks on the wire.

It has two forms. The HTTP form is a complete answer to the upgrade request. The in-band form is for
browsers, which cannot read a refused handshake: one C{error} event and a Close, on a WebSocket that
is opened only to carry them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

from relay.rules.refusals import KINDS, Refusal, UpstreamFacts
from relay.rules.relay_error import as_event, relay_error


def _error_object(refusal: Refusal, request_id: str) -> dict[str, object]:
    facts = refusal.upstream
    more: dict[str, object] = {}
    if refusal.since is not None:
        more = {"cause": refusal.cause, "since": refusal.since}
    if refusal.retry_after is not None:  # a page can read no header
        more["retry_after"] = refusal.retry_after
    return relay_error(
        refusal.code,
        refusal.message,
        retryable=refusal.retryable,
        request_id=request_id,
        attempts=refusal.attempts,
        upstream=facts and _facts_object(facts),
        **more,
    )


def _facts_object(facts: UpstreamFacts) -> dict[str, object]:
    told: dict[str, object] = {
        "name": facts.name,
        "stage": facts.stage,
        "status": facts.status,
        "request_id": facts.request_id,
    }
    if facts.upstream is not None:
        told["upstream"] = _facts_object(facts.upstream)
    return told


def http_body(refusal: Refusal, request_id: str) -> bytes:
    """The JSON body of the HTTP form."""
    return json.dumps({"error": _error_object(refusal, request_id)}).encode("ascii")


def http_headers(refusal: Refusal, request_id: str) -> list[tuple[str, str]]:
    """The headers of the HTTP form, without C{Content-Length} and C{Connection}."""
    headers = [
        ("Content-Type", "application/json"),
        ("Cache-Control", "no-store"),
        ("X-Request-Id", request_id),
        # openai-python and openai-node obey this header on HTTP calls. Without it they would repeat
        # each request that is answered with 502.
        ("X-Should-Retry", "true" if refusal.retryable else "false"),
    ]
    if refusal.retry_after is not None:
        headers.append(("Retry-After", str(refusal.retry_after)))
    return headers + list(KINDS[refusal.code].headers)


def http_response(
    refusal: Refusal,
    request_id: str,
    *,
    bodiless: bool = False,
    more: Sequence[tuple[str, str]] = (),
) -> bytes:
    """
    The whole HTTP form: status line, headers and body (RFC 9112).

    @param bodiless: for HEAD: the same headers, without the body.
    @param more: further headers.
    """
    body = http_body(refusal, request_id)
    headers = [*http_headers(refusal, request_id), *more, ("Content-Length", str(len(body)))]
    # A sender of Upgrade must name it in Connection too (RFC 9110, 7.8).
    options = "close, upgrade" if refusal.status == HTTPStatus.UPGRADE_REQUIRED else "close"
    headers.append(("Connection", options))
    status = HTTPStatus(refusal.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{k}: {v}" for k, v in headers)]
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if bodiless else head + body


def error_event(refusal: Refusal, request_id: str) -> bytes:
    """The C{error} event of the in-band form, as one JSON text."""
    return as_event(_error_object(refusal, request_id), request_id)
