"""Every way in which a hold can end without a session: one table."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

from attrs import evolve, field, frozen

from relay.rules.errors import InvalidValue, wanted

Stage = Literal["dns", "proxy", "tcp", "tls", "upgrade", "first_event", "response"]
"""The stage that an attempt at an upstream has reached; C{response} is a plain request's."""


RefusalCode = Literal[
    "bad_request",
    "unauthorized",
    "origin_not_allowed",
    "host_not_allowed",
    "model_not_allowed",
    "not_found",
    "method_not_allowed",
    "upgrade_required",
    "request_timeout",
    "head_too_large",
    "body_too_large",
    "too_many_sessions",
    "rate_limited",
    "budget_exhausted",
    "internal_error",
    "not_supported",
    "upstream_dns_failed",
    "upstream_connect_failed",
    "upstream_tls_failed",
    "upstream_unauthorized",
    "upstream_refused",
    "upstream_rejected_request",
    "upstream_quota_exhausted",
    "upstream_rate_limited",
    "authorizer_unavailable",
    "limits_unavailable",
    "upstream_unavailable",
    "relay_full",
    "draining",
    "upstream_timeout",
]
"""The codes of L{KINDS}, as a type."""


@frozen
class Kind:
    """
    One row of the table.

    @ivar status: the HTTP status.
    @ivar retryable: whether the same request may succeed later.
    @ivar message: what to do about it, in one sentence.
    @ivar retry_after: seconds to wait, sent as C{Retry-After}; L{None} for no such header.
    @ivar headers: further headers that this status must have.
    """

    status: int
    retryable: bool
    message: str
    retry_after: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


KINDS: dict[RefusalCode, Kind] = {
    "bad_request": Kind(400, False, "The request is malformed; correct it."),
    "unauthorized": Kind(
        401,
        False,
        "Send a credential this relay accepts, as a Bearer token or an "
        "openai-insecure-api-key subprotocol.",
        headers=(("WWW-Authenticate", 'Bearer realm="realtime-relay"'),),
    ),
    "origin_not_allowed": Kind(403, False, "Ask the relay's operator to allow this Origin."),
    "host_not_allowed": Kind(403, False, "Ask the relay's operator to allow this Host."),
    "model_not_allowed": Kind(403, False, "Choose a model that this relay allows."),
    "not_found": Kind(404, False, "Nothing is served here; the WebSocket is at /v1/realtime."),
    "method_not_allowed": Kind(
        405, False, "Open a WebSocket here with GET.", headers=(("Allow", "GET"),)
    ),
    "upgrade_required": Kind(
        426,
        False,
        "Open a WebSocket here, version 13.",
        headers=(("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
    ),
    "request_timeout": Kind(408, False, "Send the whole request sooner."),
    "head_too_large": Kind(431, False, "Send a smaller request head."),
    "body_too_large": Kind(413, False, "Send a smaller request body."),
    "too_many_sessions": Kind(429, True, "Close another session first, or wait.", 5),
    "rate_limited": Kind(429, True, "Open sessions more slowly.", 5),
    "budget_exhausted": Kind(
        429, True, "Your budget for this day (UTC) is used up; connect again tomorrow.", 60
    ),
    "internal_error": Kind(500, True, "The relay failed; its log has the cause."),
    "not_supported": Kind(501, False, "Use the WebSocket transport; the relay does not have this."),
    "upstream_dns_failed": Kind(502, True, "The upstream's name could not be resolved; try again."),
    "upstream_connect_failed": Kind(502, True, "The upstream cannot be reached; try again."),
    "upstream_tls_failed": Kind(
        502, False, "The upstream's TLS certificate or protocol was not acceptable to the relay."
    ),
    "upstream_unauthorized": Kind(
        502, False, "The relay's own upstream key was refused; its operator must correct it."
    ),
    "upstream_refused": Kind(502, False, "The upstream refused the relay's connection."),
    "upstream_rejected_request": Kind(
        400, False, "The upstream does not accept this request's parameters; correct them."
    ),
    "upstream_quota_exhausted": Kind(
        502, False, "The relay's upstream quota is used up; its operator must raise it."
    ),
    "upstream_rate_limited": Kind(503, True, "The upstream limits the relay's rate; wait.", 5),
    "authorizer_unavailable": Kind(503, True, "The relay cannot check credentials now; wait.", 5),
    "limits_unavailable": Kind(503, True, "The relay cannot check your limits now; wait.", 5),
    "upstream_unavailable": Kind(503, True, "The upstream is failing; wait.", 5),
    "relay_full": Kind(503, True, "The relay has no room for another session; wait.", 5),
    "draining": Kind(503, True, "The relay is shutting down; connect again.", 1),
    "upstream_timeout": Kind(504, True, "The upstream did not answer in time; try again."),
}
"""The table: code to L{Kind}. Every refusal in the program comes from it."""


@frozen
class UpstreamFacts:
    """
    What a refusal tells of the upstream that caused it.

    @ivar name: the upstream's name in the settings.
    @ivar stage: the stage that the attempt had reached; L{None} if no connection was begun.
    @ivar status: its HTTP status, if it answered with one.
    @ivar request_id: its own request id, for its operator's log.
    @ivar upstream: if it is a relay itself, the upstream that it blames.
    """

    name: str
    stage: Stage | None
    status: int | None = None
    request_id: str | None = None
    upstream: UpstreamFacts | None = None


@frozen
class Refusal:
    """
    The answer that ends a hold without a session. Make it with L{refuse}.

    @ivar code: a key of L{KINDS}.
    @ivar status: the HTTP status, 400 to 599.
    @ivar retryable: whether the same request may succeed later.
    @ivar message: one sentence, safe to show to anybody.
    @ivar retry_after: whole seconds, or L{None}.
    @ivar upstream: the upstream that caused it, or L{None}.
    @ivar attempts: how many attempts at upstreams were made.
    @ivar said: what the upstream said, scrubbed of secrets. It is for the operator: downstream is
        sent no byte of it that is not in the message.
    @ivar of_request: whether the upstream may serve other requests, whatever the code says.
    @ivar detail: why, for the operator: the record of the hold has it, and downstream never.
    @ivar cause: the code of the failure for which the upstream is left alone and was not tried;
        L{None} if that is not why.
    @ivar since: since when that is so, in UTC (RFC 3339); L{None} as C{cause} is.
    """

    code: RefusalCode
    status: int
    retryable: bool
    message: str
    retry_after: int | None = None
    upstream: UpstreamFacts | None = None
    attempts: int = field(default=0, kw_only=True)
    said: str = field(default="", kw_only=True)
    of_request: bool = field(default=False, kw_only=True)
    detail: str = field(default="", kw_only=True)
    cause: RefusalCode | None = field(default=None, kw_only=True)
    since: str | None = field(default=None, kw_only=True)

    @property
    def close_code(self) -> int:
        """The close code of the in-band form: 1013 says "later", 4400 to 4599 say "no"."""
        return 1013 if self.retryable else 4000 + self.status


class Refused(Exception):
    """A hold cannot end with a session; C{refusal} tells why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


_STATUSES = tuple(status.value for status in HTTPStatus if status >= 400)


def refuse(
    code: RefusalCode,
    message: str | None = None,
    *,
    status: int | None = None,
    retryable: bool | None = None,
    retry_after: int | None = None,
    upstream: UpstreamFacts | None = None,
    detail: str = "",
) -> Refusal:
    """
    Make a refusal from its row in the table. Other arguments override the row's values.

    @param code: a key of L{KINDS}.
    @param message: one sentence, safe to show to anybody.
    @param status: 400 to 599, and one that HTTP knows.
    @param retry_after: whole seconds, 0 or more.
    @param detail: why, for the record of the hold only.
    @raise InvalidValue: for any of these that is something else.
    """
    kind = KINDS.get(code)
    if kind is None:
        raise InvalidValue(f"the code of a refusal must be one of {', '.join(KINDS)}")
    if status is not None and status not in _STATUSES:
        raise InvalidValue(f"the status of a refusal is one of HTTP's, 400 to 599, not {status}")
    if message is not None and not isinstance(message, str):
        raise wanted("the message of a refusal must be a string", message)
    if retry_after is not None and not (isinstance(retry_after, int) and retry_after >= 0):
        raise InvalidValue("retry_after of a refusal must be whole seconds, 0 or more")
    return Refusal(
        code,
        kind.status if status is None else status,
        kind.retryable if retryable is None else retryable,
        message or kind.message,
        kind.retry_after if retry_after is None else retry_after,
        upstream,
        detail=detail,
    )


def attributed(refusal: Refusal, upstream: UpstreamFacts) -> Refusal:
    """The same refusal, attributed to an upstream."""
    return evolve(refusal, upstream=upstream)
