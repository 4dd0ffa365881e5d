"""What the end of a session means to a client, and when to try again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from attrs import frozen

from relay.rules.errors import RelayError
from relay.rules.values import as_table, as_text

Event = dict[str, Any]
Kind = Literal["refused", "lost", "closed"]

RETRIED = frozenset({None, 1001, 1005, 1006, 1011, 1012, 1013, 1014})
"""Codes of a Close after which another session may do better."""

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""The same, by the status of a service that tells no more."""


@frozen
class Times:
    """Seconds."""

    first_event: float = 20.0
    backoff_base: float = 0.5
    backoff_most: float = 30.0
    ping: float = 20.0
    pong: float = 10.0


@frozen
class Told:
    """
    What the relay or the service has said of an end.

    @ivar code: the relay's code, or the service's, or C{status_401} or C{close_1006}.
    @ivar retryable: whether another try may do better.
    @ivar retry_after: seconds that are to be waited before it.
    @ivar request_id: by which the relay's operator finds it in the log.
    """

    code: str
    message: str
    retryable: bool
    retry_after: float | None = None
    request_id: str | None = None


class Refused(RelayError):
    """
    There is no session, and another try would not give one.

    @ivar told: why.
    """

    def __init__(self, told: Told) -> None:
        super().__init__(f"{told.code}: {told.message}")
        self.told = told


def delay(attempt: int, asked: float | None, times: Times, chance: Callable[[], float]) -> float:
    """
    Seconds before the next try: full jitter, behind what was asked for.

    @param attempt: 0 for the first.
    @param chance: a number from 0 to 1.
    """
    most = min(times.backoff_most, times.backoff_base * 2.0 ** min(attempt, 30))
    return (asked or 0.0) + chance() * most


def told_by(error: Event | None, code: int | None, reason: str) -> Told:
    """What an end says: by its last error event, or its status, or its Close."""
    # As Autobahn tells of another answer than 101.
    found = re.search(r"upgrade failed \[(\d{3})\]", reason)
    status = int(found[1]) if found else None
    if error is not None:
        said = as_table(error.get("error"))
        after, retryable = said.get("retry_after"), said.get("retryable")
        return Told(
            as_text(said.get("code")) or as_text(said.get("type")) or "error",
            as_text(said.get("message")),
            retryable if isinstance(retryable, bool) else code in RETRIED,
            after if isinstance(after, (int, float)) else None,
            as_text(said.get("request_id")) or None,
        )
    if status is not None:
        return Told(f"status_{status}", reason, status in RETRIED_STATUSES)
    return Told(f"close_{code or 1006}", reason, code in RETRIED)


def kind_of(error: Event | None, code: int | None, reason: str, opened: bool) -> Kind:
    """What an end means. Without a word before the first event nobody refused anything."""
    refused = error is not None or (code or 0) >= 4000 or "upgrade failed" in reason
    if not opened and refused:
        return "refused"
    return "closed" if code == 1000 and error is None else "lost"
