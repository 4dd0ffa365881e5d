"""
The values of labels that are known before anything is counted.

Each starts at 0. A series that began with its first event would hide that event from C{rate()},
which sees only the growth between two scrapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import get_args

from relay.rules import closes, usage
from relay.rules.budgets import BUDGETS
from relay.rules.refusals import KINDS, Stage
from relay.telemetry.records import RecordingOutcome

Labels = tuple[str, ...]
"""Values of labels, in the order of their names."""

STAGES: tuple[Stage, ...] = get_args(Stage)

CLOSE_CODES = (*map(str, sorted(closes.PASSED | closes.TRANSLATED)), "3xxx", "4xxx", "none")

ATTEMPTS = (
    "open",
    "cancelled",
    "relay_full",
    "authorizer_unavailable",
    *(code for code in KINDS if code.startswith("upstream_")),
)
"""The outcomes of an attempt."""


def known(upstreams: Iterable[str], listeners: Sequence[str]) -> Mapping[str, Iterable[Labels]]:
    """
    The known values of labels, by the metric.

    @param upstreams: their names.
    @param listeners: what the listeners are called.
    """
    names = [*upstreams]
    each = [(name,) for name in names]
    return {
        "relay_sessions_total": product(CLOSE_CODES, ("downstream", "upstream", "relay")),
        "relay_refusals_total": [(code,) for code in KINDS],
        "relay_requests_total": product(listeners, ("opened", "called", "left", *KINDS)),
        "relay_listener_sessions_active": [(listener,) for listener in listeners],
        "relay_hold_seconds": [()],
        "relay_authorizing_seconds": [()],
        "relay_event_loop_lag_seconds": [()],
        "relay_attempts_total": product(names, ATTEMPTS),
        "relay_attempt_seconds": each,
        "relay_stage_seconds": product(names, STAGES),
        "relay_failed_attempts_total": product(names, STAGES),
        "relay_retries_total": each,
        "relay_messages_total": [("up",), ("down",)],
        "relay_bytes_total": [("up",), ("down",)],
        "relay_tokens_total": product(names, ("input", "output")),
        "relay_first_audio_seconds": each,
        "relay_responses_total": product(names, usage.STATUSES),
        "relay_speech_turns_total": each,
        "relay_stalled_total": [("downstream",), ("upstream",)],
        "relay_worker_ends_total": [()],
        "relay_budgets_exhausted_total": [(name,) for name in BUDGETS],
        "relay_recordings_total": [(outcome,) for outcome in get_args(RecordingOutcome)],
        "relay_reloads_total": [("taken",), ("refused",)],
        "relay_fleet_decisions_total": [("admitted",), ("over_limit",), ("by_mode",)],
        "relay_fleet_seconds": [()],
    }
