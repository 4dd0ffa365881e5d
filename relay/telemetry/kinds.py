"""Every metric: its type, its labels, and a sentence for the operator."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Combine = Literal["sum", "most", "least"]


@frozen
class MetricKind:
    """
    One row of the table of metrics.

    @ivar type: its type in Prometheus.
    @ivar labels: the names of its labels.
    @ivar doc: one sentence for the operator.
    @ivar combine: what is told of several processes that have a value each.
    """

    type: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    doc: str
    combine: Combine = "sum"


METRICS: dict[str, MetricKind] = {
    "relay_sessions_active": MetricKind("gauge", (), "Sessions that still have a connection."),
    "relay_sessions_limit": MetricKind("gauge", (), "Most sessions and holds at once."),
    "relay_holds_active": MetricKind("gauge", (), "Holds that are not yet answered."),
    "relay_requests_total": MetricKind(
        "counter",
        ("listener", "outcome"),
        "Requests for a session, and all that was refused, by the listener; the outcome is opened,"
        " called for a call to which the relay does not listen, left if the client did not wait, or"
        " the code of the refusal. The listener is its endpoint in the settings; it is empty for"
        " the admin listener, and for one that has no name.",
    ),
    "relay_listener_sessions_active": MetricKind(
        "gauge", ("listener",), "Sessions that still have a connection, by their listener."
    ),
    "relay_sessions_total": MetricKind(
        "counter",
        ("close_code", "closed_by"),
        "Sessions that ended, by the code of the first Close. 3xxx and 4xxx stand for all such"
        " codes, none for a Close without a code.",
    ),
    "relay_refusals_total": MetricKind("counter", ("code",), "Refusals, also those before a hold."),
    "relay_answers_total": MetricKind(
        "counter",
        ("status",),
        "Plain requests that a page of the relay's own answered, but for probes and scrapes.",
    ),
    "relay_hold_seconds": MetricKind(
        "histogram", (), "Time from a request's head to its answer, of holds that were answered."
    ),
    "relay_attempts_total": MetricKind(
        "counter",
        ("upstream", "outcome"),
        "Attempts at an upstream, and times that it was passed over; the outcome is open,"
        " cancelled, or the code of the refusal; it is upstream_unavailable if the breaker let"
        " nobody try.",
    ),
    "relay_attempt_seconds": MetricKind(
        "histogram", ("upstream",), "Time that attempts took, however they ended."
    ),
    "relay_stage_seconds": MetricKind(
        "histogram",
        ("upstream", "stage"),
        "Time that each stage of an attempt took, of the stages that were completed.",
    ),
    "relay_authorizing_seconds": MetricKind(
        "histogram", (), "Time of a hold in which it was decided whether to let the request in."
    ),
    "relay_failed_attempts_total": MetricKind(
        "counter",
        ("upstream", "stage"),
        "Attempts that ended with a refusal, by the stage that they had reached.",
    ),
    "relay_breaker_state": MetricKind(
        "gauge",
        ("upstream",),
        "0 closed, 1 half-open, 2 open, at the time of the scrape; absent if it has no breaker.",
        "most",
    ),
    "relay_breaker_cause": MetricKind(
        "gauge",
        ("upstream", "code"),
        "1 while a breaker is not closed, by the code of the failure that came last.",
        "most",
    ),
    "relay_upstream_connections": MetricKind(
        "gauge", ("upstream",), "Connections to an upstream, those of holds included."
    ),
    "relay_retries_total": MetricKind(
        "counter", ("upstream",), "Attempts at an upstream that the same hold had tried before."
    ),
    "relay_messages_total": MetricKind(
        "counter", ("direction",), "Messages that crossed: up to the upstream, down from it."
    ),
    "relay_bytes_total": MetricKind("counter", ("direction",), "Bytes of payload that crossed."),
    "relay_tokens_total": MetricKind(
        "counter",
        ("upstream", "kind"),
        "Tokens that upstream told of in sessions that ended; input and output are totals, the"
        " other kinds are parts of them.",
    ),
    "relay_usage_seconds_total": MetricKind(
        "counter",
        ("upstream", "kind"),
        "Seconds that upstream billed in sessions that ended: of the audio of a transcription or a"
        " response, or of a session; session_active and session_paused are parts of session.",
    ),
    "relay_first_audio_seconds": MetricKind(
        "histogram",
        ("upstream",),
        "Time from a response's creation, or from the end of speech if that came later, to its"
        " first audio.",
    ),
    "relay_responses_total": MetricKind(
        "counter",
        ("upstream", "status"),
        "Responses in sessions that ended; the status is completed, cancelled, failed, incomplete"
        " or other.",
    ),
    "relay_speech_turns_total": MetricKind(
        "counter",
        ("upstream",),
        "Times that upstream heard speech end, in sessions that ended.",
    ),
    "relay_workers": MetricKind(
        "gauge", (), "Processes that serve sessions: 1 where there are no workers."
    ),
    "relay_worker_ends_total": MetricKind(
        "counter", (), "Workers that ended while the relay was not ending, and were begun anew."
    ),
    "relay_reloads_total": MetricKind(
        "counter", ("outcome",), "Times that the relay was to take new settings, and did or not."
    ),
    "relay_stalled_total": MetricKind(
        "counter", ("side",), "Sessions that ended because that side read too little for too long."
    ),
    "relay_budgets_exhausted_total": MetricKind(
        "counter",
        ("budget",),
        "Sessions that ended because a budget was used up, by its key in [limits].",
    ),
    "relay_recordings_total": MetricKind(
        "counter",
        ("outcome",),
        "Sessions that were to be recorded, when their file was done; the outcome is whole, cut if"
        " the file ends before the session, or failed if it could not be written.",
    ),
    "relay_event_loop_lag_seconds": MetricKind(
        "histogram",
        (),
        "How much later than asked a call came that the daemon asks for each second: all sessions"
        " waited so long.",
    ),
    "relay_fleet_up": MetricKind(
        "gauge",
        (),
        "1 while the fleet's store decides, 0 while the mode does; absent without a fleet.",
        "least",
    ),
    "relay_fleet_relays": MetricKind(
        "gauge", (), "Relays that the fleet's store knows to live; 0 while it is away.", "most"
    ),
    "relay_fleet_decisions_total": MetricKind(
        "counter",
        ("outcome",),
        "Holds that the fleet was to decide on: admitted or over_limit by the store, or by_mode"
        " without it.",
    ),
    "relay_fleet_seconds": MetricKind(
        "histogram", (), "Time that holds waited for the fleet's store, also in vain."
    ),
    "relay_certificate_expiry_timestamp_seconds": MetricKind(
        "gauge",
        ("listener",),
        "Until when the certificate of a listener is valid, in seconds since 1970.",
        "least",
    ),
    "relay_build_info": MetricKind(
        "gauge", ("version", "python", "twisted"), "1, by the versions that run.", "most"
    ),
}
"""Every metric, by its name."""
