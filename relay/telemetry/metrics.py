"""
What the relay counts, in Prometheus' terms.

Holds, attempts and sessions are counted as they end. The traffic of open sessions is read at the
scrape, so that counting costs nothing while messages cross. No label takes a value that a client
chooses, because the number of its values would have no bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from platform import python_version
from typing import Protocol

from relay.rules import closes
from relay.rules.closes import Side
from relay.rules.refusals import Refusal
from relay.telemetry.kinds import METRICS
from relay.telemetry.known import Labels, known
from relay.telemetry.records import (
    AnsweredRecord,
    AttemptRecord,
    ClosedRecord,
    HoldRecord,
    RecordingOutcome,
    RelayListener,
    Traffic,
)
from relay.telemetry.snapshot import Distribution, Snapshot, of_this_process
from relay.upstreams.balancing import Standing

BREAKER = {"closed": 0, "half-open": 1, "open": 2}

BUILD = (version("realtime-relay"), python_version(), version("twisted"))
"""The labels of C{relay_build_info}."""

DIRECTIONS: dict[Side, str] = {"downstream": "up", "upstream": "down"}
"""The side that messages come from, to the direction that a metric gives them."""


class Scraped(Protocol):
    """What is read at a scrape: a L{relay.RelayFactory}."""

    @property
    def active_holds(self) -> int:
        """Holds that are not yet answered."""

    @property
    def active_sessions(self) -> int:
        """Sessions that still have a connection."""

    @property
    def sessions_limit(self) -> int:
        """Most sessions and holds at once."""

    @property
    def listeners(self) -> Sequence[str]:
        """What the listeners are called."""

    @property
    def standings(self) -> Sequence[Standing]:
        """How each upstream is doing."""

    def traffic(self) -> Mapping[Side, Traffic]:
        """What has crossed in the sessions that are open, by the side it came from."""


def close_label(code: int | None) -> str:
    """
    The close code as a label. A peer may send any code; this is one of a bounded number of labels.
    """
    if code is None:
        return "none"
    if 3000 <= code <= 4999:
        return f"{code // 1000}xxx"
    return str(code if code in closes.PASSED | closes.TRANSLATED else closes.reply(code).code)


class Metrics(RelayListener):
    """
    Counts, for a scrape. One for each L{relay.RelayFactory}.

    @ivar workers: how many processes serve sessions by what is counted here.
    """

    def __init__(self) -> None:
        self.workers = 1
        self._counts: dict[str, dict[Labels, float]] = {
            name: defaultdict(float) for name, kind in METRICS.items() if kind.type == "counter"
        }
        self._distributions: dict[str, dict[Labels, Distribution]] = {
            name: {} for name, kind in METRICS.items() if kind.type == "histogram"
        }
        self._certificates: dict[Labels, float] = {}
        self._sessions: dict[Labels, float] = defaultdict(float)
        self._fleet: Callable[[], tuple[bool, int]] | None = None

    # -- RelayListener ---------------------------------------------------------------------

    def opened(self, record: HoldRecord) -> None:
        """Count the hold and its attempts."""
        self._hold(record)
        self._sessions[(record.listener or "",)] += 1

    def called(self, record: HoldRecord) -> None:
        """Count the hold and its attempts."""
        self._hold(record)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Count the refusal, if there was one to tell, and the attempts."""
        if refusal is not None:
            self._counts["relay_refusals_total"][(refusal.code,)] += 1
            self._hold(record)
        else:
            self._asked(record)

    def answered(self, record: AnsweredRecord) -> None:
        """Count the answer, unless it is routine. The relay's own pages have few statuses."""
        if not record.is_routine:
            self._counts["relay_answers_total"][(str(record.status),)] += 1

    def first_audio(self, record: HoldRecord, seconds: float) -> None:
        """Count it at once: a session may be long."""
        self._observe("relay_first_audio_seconds", (record.upstream or "",), seconds)

    def closed(self, record: ClosedRecord) -> None:
        """Count the session and what crossed in it."""
        counts, upstream = self._counts, record.hold.upstream or ""
        self._sessions[(record.hold.listener or "",)] -= 1
        counts["relay_sessions_total"][close_label(record.close_code), record.closed_by] += 1
        for side, traffic in record.sent.items():
            counts["relay_messages_total"][(DIRECTIONS[side],)] += traffic.messages
            counts["relay_bytes_total"][(DIRECTIONS[side],)] += traffic.bytes
        for kind, count in record.tokens.items():
            counts["relay_tokens_total"][upstream, kind] += count
        for kind, seconds in record.usage_seconds.items():
            counts["relay_usage_seconds_total"][upstream, kind] += seconds
        for status, count in record.responses.items():
            counts["relay_responses_total"][upstream, status] += count
        if record.turns:
            counts["relay_speech_turns_total"][(upstream,)] += record.turns
        if record.stalled is not None:
            counts["relay_stalled_total"][(record.stalled,)] += 1
        if record.budget is not None:
            counts["relay_budgets_exhausted_total"][(record.budget,)] += 1

    def recorded(self, record: HoldRecord, outcome: RecordingOutcome) -> None:
        """Count what became of the file."""
        self._counts["relay_recordings_total"][(outcome,)] += 1

    def worker_ended(self) -> None:
        """Count that a worker ended by itself."""
        self._counts["relay_worker_ends_total"][()] += 1

    def reloaded(self, outcome: str) -> None:
        """Count that new settings were C{taken}, or C{refused}."""
        self._counts["relay_reloads_total"][(outcome,)] += 1

    def lagged(self, seconds: float) -> None:
        """Count by how much the reactor was late."""
        self._observe("relay_event_loop_lag_seconds", (), seconds)

    def certified(self, until: Mapping[str, float]) -> None:
        """
        Tell until when the listeners' certificates are valid, by the listener.

        @param until: in seconds since 1970.
        """
        self._certificates = {(listener,): seconds for listener, seconds in until.items()}

    def decided(self, outcome: str, seconds: float) -> None:
        """Count what a fleet decided on a hold, and how long its store took for it."""
        self._counts["relay_fleet_decisions_total"][(outcome,)] += 1
        self._observe("relay_fleet_seconds", (), seconds)

    def share(self, fleet: Callable[[], tuple[bool, int]]) -> None:
        """
        Tell of a fleet.

        @param fleet: tells whether its store decides, and how many relays that knows to live.
        """
        self._fleet = fleet

    def _hold(self, record: HoldRecord) -> None:
        self._asked(record)
        if record.seconds:  # a request that was refused before its hold has none
            self._observe("relay_hold_seconds", (), record.seconds)
            self._observe("relay_authorizing_seconds", (), record.authorizing)

    def _asked(self, record: HoldRecord) -> None:
        self._counts["relay_requests_total"][record.listener or "", record.outcome] += 1
        for attempt in record.attempts:
            self._attempt(attempt)

    def _attempt(self, attempt: AttemptRecord) -> None:
        upstream, counts = attempt.upstream, self._counts
        counts["relay_attempts_total"][upstream, attempt.outcome] += 1
        if attempt.is_retry:
            counts["relay_retries_total"][(upstream,)] += 1
        if attempt.stage is not None:  # if None, the upstream was passed over
            self._observe("relay_attempt_seconds", (upstream,), attempt.seconds)
            if attempt.outcome not in ("open", "cancelled"):
                counts["relay_failed_attempts_total"][upstream, attempt.stage] += 1
        for stage, seconds in attempt.stages.items():
            self._observe("relay_stage_seconds", (upstream, stage), seconds)

    def _observe(self, name: str, labels: Labels, seconds: float) -> None:
        self._distributions[name].setdefault(labels, Distribution()).add(seconds)

    # -- the scrape ------------------------------------------------------------------------

    def scrape(self, scraped: Scraped) -> bytes:
        """All metrics, in Prometheus' text format."""
        return self.snapshot(scraped).exposition()

    def snapshot(self, scraped: Scraped, traffic: Mapping[Side, Traffic] | None = None) -> Snapshot:
        """
        All that was counted until now.

        @param traffic: of the sessions that are open, if that is known already.
        """
        start = known((each.upstream.name for each in scraped.standings), scraped.listeners)
        values = {
            name: dict.fromkeys(start.get(name, ()), 0.0)
            for name, kind in METRICS.items()
            if kind.type != "histogram"
        }
        crossed = _traffic(traffic or scraped.traffic())
        for counted in (self._counts, _gauges(scraped), crossed, self._told()):
            for name, counts in counted.items():
                _add(values[name], counts)
        distributions = {
            name: {labels: Distribution() for labels in start.get(name, ())} | found
            for name, found in self._distributions.items()
        }
        return Snapshot(values, distributions, of_this_process())

    def _told(self) -> dict[str, dict[Labels, float]]:
        return {
            "relay_workers": {(): self.workers},
            "relay_listener_sessions_active": self._sessions,
            "relay_certificate_expiry_timestamp_seconds": self._certificates,
            **self._shared(),
        }

    def _shared(self) -> dict[str, dict[Labels, float]]:
        if self._fleet is None:
            return {}
        is_up, relays = self._fleet()
        return {"relay_fleet_up": {(): is_up}, "relay_fleet_relays": {(): relays}}


def _add(values: dict[Labels, float], counts: Mapping[Labels, float]) -> None:
    for labels, count in counts.items():
        values[labels] = values.get(labels, 0) + count


def _gauges(scraped: Scraped) -> dict[str, dict[Labels, float]]:
    standings = {each.upstream.name: each for each in scraped.standings}
    breakers = {name: BREAKER.get(each.breaker_state) for name, each in standings.items()}
    troubles = {name: each.trouble for name, each in standings.items()}
    causes = {name: found.cause.refusal.code for name, found in troubles.items() if found}
    return {
        "relay_sessions_active": {(): scraped.active_sessions},
        "relay_sessions_limit": {(): scraped.sessions_limit},
        "relay_holds_active": {(): scraped.active_holds},
        "relay_breaker_state": {(n,): state for n, state in breakers.items() if state is not None},
        "relay_breaker_cause": dict.fromkeys(causes.items(), 1),
        "relay_upstream_connections": {(n,): each.sessions for n, each in standings.items()},
        "relay_build_info": {BUILD: 1},
    }


def _traffic(traffic: Mapping[Side, Traffic]) -> dict[str, dict[Labels, float]]:
    return {
        "relay_messages_total": {(DIRECTIONS[s],): each.messages for s, each in traffic.items()},
        "relay_bytes_total": {(DIRECTIONS[s],): each.bytes for s, each in traffic.items()},
    }
