"""
The close table: what a Close, or the loss of a connection, on one side means for both; and which
ends downstream is told of by an event, because most SDKs show no Close.

Source: RFC 6455, 7.4, and what the official SDKs do with each code (they connect again after
1001, 1005, 1006, 1011, 1012, 1013 and 1015 only).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import evolve, field, frozen

from relay.rules.budgets import BUDGETS, WORDS, BudgetName
from relay.rules.relay_error import as_event, relay_error

Side = Literal["downstream", "upstream"]

MAX_REASON = 123
"""Bytes of UTF-8 that fit behind the code in a control frame (RFC 6455, 5.5)."""

PASSED = frozenset({1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013})
"""Codes below 3000 that cross as they are."""

TRANSLATED = frozenset({1002, 1010, 1014, 1015})
"""Codes about one hop only: the other side gets 1011."""


RETRIED = frozenset({None, 1001, 1011, 1012, 1013})
"""Codes after which the official SDKs connect again, of those that can cross."""

DONE = (1000, 1001)
"""Codes by which a client ends what it is done with; 1001 is a browser's that leaves the page."""

EndingCode = Literal[
    "draining",
    "expired",
    "revoked",
    "ended_by_operator",
    "internal_error",
    "upstream_lost",
    "upstream_silent",
    "upstream_stalled",
    "upstream_fault",
    "upstream_closed",
    "protocol_error",
    "invalid_text",
    "message_too_large",
    "sent_too_much",
    "session_too_long",
    "session_idle",
    "policy_rejected",
    "budget_exhausted",
]
"""The codes of L{ENDINGS}, as a type."""


@frozen
class Ending:
    """
    One row of the table: an end of which downstream is told by an event before its Close.

    @ivar close_code: the code of that Close; C{""} if it is upstream's own.
    @ivar message: what happened, and what to do if anything, in one sentence. C{{detail}} in it is
        replaced by what is known in each case.
    """

    close_code: int | Literal[""]
    message: str


ENDINGS: dict[EndingCode, Ending] = {
    "draining": Ending(1012, "The relay is shutting down; connect again."),
    "expired": Ending(1008, "Your credential has expired; connect again with a new one."),
    "revoked": Ending(1008, "Your access to this relay was withdrawn."),
    "ended_by_operator": Ending(1008, "The relay ended this session: {detail}."),
    "internal_error": Ending(1011, "The relay failed; its log has the cause."),
    "upstream_lost": Ending(1011, "The connection to the upstream was lost; connect again."),
    "upstream_silent": Ending(1011, "The upstream no longer answers; connect again."),
    "upstream_stalled": Ending(1011, "The upstream no longer reads; connect again."),
    "upstream_fault": Ending(
        1011, "The upstream broke the WebSocket protocol or a limit of the relay's: {detail}."
    ),
    "upstream_closed": Ending("", "The upstream closed the session with {detail}."),
    "protocol_error": Ending(1002, "Your client broke the WebSocket protocol: {detail}."),
    "invalid_text": Ending(1007, "Your client sent no valid text: {detail}."),
    "message_too_large": Ending(1009, "Send smaller messages, in fewer frames: {detail}."),
    "sent_too_much": Ending(
        1008, "Your client sent more than the relay lets it, for too long; send more slowly."
    ),
    "session_too_long": Ending(
        1001, "The session has lasted as long as the relay lets it; connect again."
    ),
    "session_idle": Ending(
        1001, "Nothing was sent in the session for too long; connect again when there is."
    ),
    "policy_rejected": Ending(
        1008, "The upstream does not take what the relay's policy sets for this session."
    ),
    "budget_exhausted": Ending(1008, "Your budget of {detail} is used up."),
}
"""The table. Whatever else ends, ends without an event."""


@frozen
class Close:
    """
    A Close.

    @ivar code: the close code; L{None} for a Close without one.
    @ivar reason: a text, of which L{MAX_REASON} bytes at most are sent.
    @ivar ending: which row of L{ENDINGS} it is, for downstream; L{None} for none.
    @ivar detail: stands in the message of that row.
    """

    code: int | None
    reason: str = ""
    ending: EndingCode | None = field(default=None, eq=False, kw_only=True)
    detail: str = field(default="", eq=False, kw_only=True)

    def payload(self) -> bytes:
        """The payload of the control frame. A long reason is cut between two characters."""
        if self.code is None:
            return b""
        return self.code.to_bytes(2, "big") + _cut(self.reason).encode("utf-8")


def _cut(reason: str) -> str:
    return reason.encode("utf-8", "replace")[:MAX_REASON].decode("utf-8", "ignore")


def last_words(close: Close, request_id: str) -> bytes | None:
    """The C{error} event that precedes this Close to downstream; L{None} for none."""
    if close.ending is None:
        return None
    error = relay_error(
        close.ending,
        ENDINGS[close.ending].message.format(detail=_cut(close.detail)),
        retryable=close.code in RETRIED,
        request_id=request_id,
        close={"code": close.code, "reason": _cut(close.reason)},
    )
    return as_event(error, request_id)


def ended(ending: EndingCode, reason: str, detail: str = "") -> Close:
    """
    The Close of this row, whose code is the relay's own.

    @param reason: of the Close, without C{relay: }.
    @param detail: see L{Ending}.
    """
    code = ENDINGS[ending].close_code or None
    return Close(code, f"relay: {reason}", ending=ending, detail=detail)


DRAIN = ended("draining", "shutting down")
EXPIRED = ended("expired", "credential expired")
REVOKED = ended("revoked", "access withdrawn")
FAILED = ended("internal_error", "internal error")
TOO_MUCH = ended("sent_too_much", "client sent too much for too long")
TOO_LONG = ended("session_too_long", "session lasted too long")
IDLE = ended("session_idle", "session was idle too long")
REJECTED = ended("policy_rejected", "upstream rejected the policy")
USED_UP: Mapping[BudgetName, Close] = {
    name: ended("budget_exhausted", f"budget of {WORDS[name]} used up", WORDS[name])
    for name in BUDGETS
}
STALLED = 1008
"""The code of a session with a reader that stalled, in its record."""

LOST: dict[Side, Close] = {
    "upstream": ended("upstream_lost", "upstream connection lost"),
    "downstream": Close(1001, "relay: downstream connection lost"),
}
"""What the other side gets when the connection of the named side is lost."""

SILENT: dict[Side, Close] = {
    "upstream": ended("upstream_silent", "upstream does not answer"),
    "downstream": Close(1001, "relay: downstream does not answer"),
}
"""What the other side gets when the named side no longer answers pings."""

STUCK: dict[Side, Close] = {
    "upstream": ended("upstream_stalled", "upstream does not read"),
    "downstream": Close(1001, "relay: downstream does not read"),
}
"""What the other side gets when the named side reads too little for too long."""


def _legal(code: int) -> bool:
    return code in PASSED or code in TRANSLATED or 3000 <= code <= 4999


def crossing(side: Side, code: int | None, reason: str) -> Close:
    """What the other side is sent when C{side} sent a Close with this code and reason."""
    if code is None or code in PASSED or 3000 <= code <= 4999:
        close = Close(code, reason)
    else:
        close = fault(side, f"close code {code}")
    if side == "downstream" or code == 1000:
        return evolve(close, ending=None)
    said = "no code" if code is None else f"code {code}"
    detail = f"{said}, {reason}" if reason else said
    return evolve(close, ending="upstream_closed", detail=detail)


def reply(code: int | None) -> Close:
    """The answer to a Close: its own code, or 1002 if that is no code a Close may have."""
    if code is None:
        return Close(None)
    if not _legal(code):
        return Close(1002, f"relay: invalid close code {code}")
    # 1015 means that TLS failed, and must not be sent (RFC 6455, 7.4.1).
    return Close(1002 if code == 1015 else code)


def fault(side: Side, what: str) -> Close:
    """What the other side is sent when C{side} broke the protocol or a limit."""
    if side == "upstream":
        return ended("upstream_fault", f"upstream fault: {what}", what)
    return Close(1011, f"relay: {side} fault: {what}")


_FAULTS: dict[int, EndingCode] = {
    1002: "protocol_error",
    1007: "invalid_text",
    1009: "message_too_large",
}


def failing(code: int, what: str) -> Close:
    """What a side is sent that itself broke the protocol or a limit."""
    return Close(code, f"relay: {what}", ending=_FAULTS.get(code), detail=what)
