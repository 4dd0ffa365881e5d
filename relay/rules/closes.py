"""
The close table: what a Close, or the loss of a connection, on one side means for both.

Source: RFC 6455, 7.4, and what the official SDKs do with each code (they connect again after
1001, 1005, 1006, 1011, 1012, 1013 and 1015 only).
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Side = Literal["downstream", "upstream"]

MAX_REASON = 123
"""Bytes of UTF-8 that fit behind the code in a control frame (RFC 6455, 5.5)."""

PASSED = frozenset({1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013})
"""Codes below 3000 that cross as they are."""

TRANSLATED = frozenset({1002, 1010, 1014, 1015})
"""Codes about one hop only: the other side gets 1011."""


@frozen
class Close:
    """
    A Close.

    @ivar code: the close code; L{None} for a Close without one.
    @ivar reason: a text, of which L{MAX_REASON} bytes at most are sent.
    """

    code: int | None
    reason: str = ""

    def payload(self) -> bytes:
        """The payload of the control frame. A long reason is cut between two characters."""
        if self.code is None:
            return b""
        reason = self.reason.encode("utf-8", "replace")[:MAX_REASON]
        return self.code.to_bytes(2, "big") + reason.decode("utf-8", "ignore").encode("utf-8")


DRAIN = Close(1012, "relay: shutting down")
STALLED = Close(1008, "relay: reader stalled")
FAILED = Close(1011, "relay: internal error")
LOST: dict[Side, Close] = {
    "upstream": Close(1011, "relay: upstream connection lost"),
    "downstream": Close(1001, "relay: downstream connection lost"),
}
"""What the other side gets when the connection of the named side is lost."""

SILENT: dict[Side, Close] = {
    "upstream": Close(1011, "relay: upstream does not answer"),
    "downstream": Close(1001, "relay: downstream does not answer"),
}
"""What the other side gets when the named side no longer answers pings."""


def _legal(code: int) -> bool:
    return code in PASSED or code in TRANSLATED or 3000 <= code <= 4999


def crossing(side: Side, code: int | None, reason: str) -> Close:
    """What the other side is sent when C{side} sent a Close with this code and reason."""
    if code is None:
        return Close(None)
    if code in PASSED or 3000 <= code <= 4999:
        return Close(code, reason)
    return fault(side, f"close code {code}")


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
    return Close(1011, f"relay: {side} fault: {what}")
