"""The dashboard: a page on the admin listener that shows what goes on, second by second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from heapq import nsmallest
from itertools import count
from operator import attrgetter
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from relay.lifecycle.handles import Handles
from relay.rules.first_steps import FIRST
from relay.rules.refusals import Refusal
from relay.telemetry.metrics import BUCKETS, DIRECTIONS, Metrics, Scraped
from relay.telemetry.records import HoldRecord, RelayListener, shown
from relay.web import sessions, standings
from relay.web.console import Front
from relay.web.page import Page
from relay.web.static_files import DASHBOARD, html_page, static_page
from relay.web.watchers import Events

REFUSALS = 50
"""How many refusals are kept, the last ones."""

SESSIONS = 100
"""Most sessions that are shown, the oldest, so that an event takes the reactor no longer."""


class Administered(Scraped, Protocol):
    """What the admin listener shows and drains: a L{relay.RelayFactory}."""

    handles: Handles

    @property
    def is_ready(self) -> bool:
        """Whether it has not been told to end."""


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


class Dashboard:
    """
    The page, its files and its events.

    @param is_private: tells whether no other machine can ask. Only then sessions and single
        refusals are shown; to others, only what C{/metrics} and C{/readyz} tell too.
    """

    def __init__(
        self,
        relay: Administered,
        metrics: Metrics,
        refusals: LastRefusals,
        is_private: Callable[[], bool],
        clock: IReactorTime,
    ) -> None:
        self._relay = relay
        self._metrics = metrics
        self._refusals = refusals
        self._is_private = is_private
        self._events = Events(self._told, lambda: relay.is_ready, clock)

    def pages(self, text: Page) -> dict[str, Resource]:
        """
        All of them, by name.

        @param text: what others than browsers get.
        """
        return {
            "": Front(html_page("dashboard.html"), text),
            "events": self._events,
            **{name: static_page(name) for name in DASHBOARD},
        }

    def _told(self) -> dict[str, object]:
        told = self._counts()
        if self._is_private():
            handles = self._relay.handles
            oldest = nsmallest(SESSIONS, handles.find(), key=attrgetter("began"))
            told["open"] = [sessions.as_json(each.record()) for each in oldest]
            told["refused"] = self._refusals.as_json()
        return told

    def _counts(self) -> dict[str, object]:
        relay, metrics = self._relay, self._metrics
        return {
            "state": "ready" if relay.is_ready else "draining",
            "sessions": relay.active_sessions,
            "holds": relay.active_holds,
            "limit": relay.sessions_limit,
            "upstreams": [standings.as_json(each) for each in relay.standings],
            "refusals": {key[0]: n for key, n in metrics.counted("relay_refusals_total").items()},
            "buckets": BUCKETS,
            "hold": metrics.distribution("relay_hold_seconds"),
            "first_audio": metrics.distribution("relay_first_audio_seconds"),
            "tokens": self._tokens(),
            **self._traffic(),
        }

    def _tokens(self) -> dict[str, float]:
        """By kind, of all upstreams."""
        tokens: dict[str, float] = {}
        for (_, kind), n in self._metrics.counted("relay_tokens_total").items():
            tokens[kind] = tokens.get(kind, 0) + n
        return tokens

    def _traffic(self) -> dict[str, Mapping[str, float]]:
        """Messages and bytes so far, by direction; of sessions that are open too."""
        messages = self._metrics.counted("relay_messages_total")
        payload = self._metrics.counted("relay_bytes_total")
        traffic = [(DIRECTIONS[side], each) for side, each in self._relay.traffic().items()]
        return {
            "messages": {to: messages.get((to,), 0) + each.messages for to, each in traffic},
            "bytes": {to: payload.get((to,), 0) + each.bytes for to, each in traffic},
        }
