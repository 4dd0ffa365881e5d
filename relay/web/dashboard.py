"""The dashboard: a page on the admin listener that shows what goes on, second by second."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from relay.telemetry.snapshot import BUCKETS, Snapshot
from relay.web.console import Front
from relay.web.overview import Overview, answered
from relay.web.page import Page
from relay.web.static_files import DASHBOARD, html_page, static_page
from relay.web.watchers import Events, Places


class Dashboard:
    """
    The page, its files and its events.

    @param is_private: tells whether no other machine can ask. Only then sessions and single
        refusals are shown; to others, only what C{/metrics} and C{/readyz} tell too.
    @param places: for those who watch.
    """

    def __init__(
        self,
        overview: Overview,
        is_private: Callable[[], bool],
        places: Places,
        clock: IReactorTime,
    ) -> None:
        self._overview = overview
        self._is_private = is_private
        self._events = Events(places, self._told, lambda: overview.state != "draining", clock)

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

    async def _told(self) -> dict[str, object]:
        overview = self._overview
        counted = await answered(overview.snapshot())
        told = {
            "state": overview.state,
            "upstreams": overview.upstreams(),
            **_counts(counted),
        }
        if self._is_private():
            told |= {"open": overview.oldest(), "refused": overview.refusals()}
        return told


def _counts(counted: Snapshot) -> dict[str, object]:
    refusals = counted.counted("relay_refusals_total")
    return {
        "sessions": counted.one("relay_sessions_active"),
        "holds": counted.one("relay_holds_active"),
        "limit": counted.one("relay_sessions_limit"),
        "refusals": {code: n for (code,), n in refusals.items()},
        "buckets": BUCKETS,
        "hold": counted.distribution("relay_hold_seconds"),
        "first_audio": counted.distribution("relay_first_audio_seconds"),
        "tokens": _tokens(counted),
        "messages": _by_direction(counted, "relay_messages_total"),
        "bytes": _by_direction(counted, "relay_bytes_total"),
    }


def _tokens(counted: Snapshot) -> dict[str, float]:
    """By kind, of all upstreams."""
    tokens: dict[str, float] = {}
    for (_, kind), n in counted.counted("relay_tokens_total").items():
        tokens[kind] = tokens.get(kind, 0) + n
    return tokens


def _by_direction(counted: Snapshot, name: str) -> Mapping[str, float]:
    """Of sessions that ended and of those that are open."""
    return {direction: n for (direction,), n in counted.values[name].items()}
