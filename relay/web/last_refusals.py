"""The last refusals, kept for an operator who looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count

from relay.rules.first_steps import FIRST
from relay.rules.refusals import Refusal
from relay.telemetry.records import HoldRecord, RelayListener, shown

REFUSALS = 50
"""How many refusals are kept, the last ones."""


class LastRefusals(RelayListener):
    """
    Keeps the last refusals.

    @param seconds: the time by the relay's clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._number = count(1)
        self._kept: deque[tuple[int, float, HoldRecord, Refusal]] = deque(maxlen=REFUSALS)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Keep it, unless the client just left."""
        if refusal is not None:
            self._kept.append((next(self._number), self._seconds(), record, refusal))

    def as_json(self) -> list[dict[str, object]]:
        """Those that are kept, for the operator to read, the last one first."""
        now = self._seconds()
        return [
            {"number": number, "seconds_ago": round(now - at, 1), **_refusal(record, refusal)}
            for number, at, record, refusal in reversed(self._kept)
        ]


def _refusal(record: HoldRecord, refusal: Refusal) -> dict[str, object]:
    """A refusal, as in the log's line, and what to do first about it."""
    last = record.attempts[-1] if record.attempts else None
    facts = refusal.upstream
    return {
        "id": record.request_id,
        "code": refusal.code,
        "status": refusal.status,
        "upstream": facts.name if facts else None,
        "stage": facts.stage if facts else None,
        "error": last.error if last else None,
        "subject": record.subject,
        "peer": record.peer,
        "model": shown(record.model) if record.model else None,
        "seconds": round(record.seconds, 3),
        "detail": shown(record.detail or refusal.message),
        "first": FIRST[refusal.code],
    }
