"""The log's records: every field, the right level, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from relay.rules.losses import Loss
from relay.rules.refusals import Refusal, UpstreamFacts, attributed, refuse
from relay.telemetry.lines import LogRecords
from relay.telemetry.records import (
    AnsweredRecord,
    AttemptRecord,
    ClosedRecord,
    HoldRecord,
    Traffic,
    no_traffic,
    shown,
)
from relay.upstreams.breaker import Cause

Event = dict[str, Any]


def hold(**changes: Any) -> HoldRecord:
    record = HoldRecord(
        "req_1",
        "192.0.2.1",
        trace_id="a1" * 16,
        origin="https://page.test",
        subject="ann",
        model="gpt-realtime",
        upstream="openai",
        attempts=[AttemptRecord("openai", "first_event", {"dns": 0.001, "tcp": 0.02}, "open")],
        outcome="opened",
        seconds=0.12345,
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


@pytest.fixture
def logged() -> Iterator[list[Event]]:
    """What is logged meanwhile."""
    events: list[Event] = []
    observe = cast(Any, events.append)
    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def said(event: Event) -> str:
    assert event["log_namespace"] == "relay.telemetry.records"
    return formatEvent(cast(Any, event))


def test_an_opened_session_is_one_line_with_its_fields(logged: list[Event]) -> None:
    LogRecords().opened(hold())
    (event,) = logged
    assert said(event) == "opened req_1 for 192.0.2.1 by openai in 0.123 s"
    assert event["log_level"] is LogLevel.info
    fields = {
        "request_id": "req_1",
        "trace_id": "a1" * 16,
        "peer": "192.0.2.1",
        "origin": "https://page.test",
        "subject": "ann",
        "model": "gpt-realtime",
        "upstream": "openai",
        "outcome": "opened",
    }
    assert fields.items() <= event.items()
    (attempt,) = event["attempts"]
    assert attempt == {
        "upstream": "openai",
        "stage": "first_event",
        "stages": {"dns": 0.001, "tcp": 0.02},
        "outcome": "open",
        "error": None,
        "said": None,
        "seconds": 0.0,
        "is_retry": False,
    }


@pytest.mark.parametrize(
    ("refusal", "outcome", "status", "level"),
    [
        (refuse("unauthorized"), "unauthorized", 401, LogLevel.info),
        (refuse("upstream_rejected_request"), "upstream_rejected_request", 400, LogLevel.info),
        (refuse("internal_error"), "internal_error", 500, LogLevel.warn),
        (refuse("upstream_timeout"), "upstream_timeout", 504, LogLevel.warn),
        (None, "left", None, LogLevel.info),
    ],
)
def test_the_level_of_a_refusal_says_whose_matter_it_is(
    logged: list[Event], refusal: Refusal | None, outcome: str, status: int | None, level: LogLevel
) -> None:
    LogRecords().refused(hold(outcome=outcome, upstream=None), refusal)
    (event,) = logged
    asked = 'model "gpt-realtime"; openai at first_event: open'
    assert said(event) == f"refused req_1 for 192.0.2.1: {outcome} after 0.123 s, {asked}"
    assert (event["log_level"], event["status"]) == (level, status)
    assert (event["outcome"], event["subject"]) == (outcome, "ann")


def test_a_refusals_line_tells_the_operator_a_detail(logged: list[Event]) -> None:
    LogRecords().refused(hold(outcome="x", detail="add {this} to hosts"), refuse("bad_request"))
    assert said(logged[0]).endswith(
        '0.123 s, model "gpt-realtime" (add {this} to hosts); openai at first_event: open'
    )


def test_a_refusals_line_tells_the_operator_the_upstreams_own_words(logged: list[Event]) -> None:
    attempts = [
        AttemptRecord("a", outcome="upstream_unauthorized", said="bad_key: {why}"),
        AttemptRecord("b", "tcp", outcome="upstream_connect_failed", error="NoRouteError"),
        AttemptRecord("c", outcome="upstream_unauthorized", said="No."),
    ]
    refused = hold(outcome="upstream_unauthorized", attempts=attempts)
    LogRecords().refused(refused, refuse("upstream_unauthorized"))
    assert said(logged[0]).endswith(
        '0.123 s, model "gpt-realtime"; a: upstream_unauthorized, said: bad_key: {why}'
        "; b at tcp: upstream_connect_failed (NoRouteError); c: upstream_unauthorized, said: No."
    )
    assert [attempt["said"] for attempt in logged[0]["attempts"]] == ["bad_key: {why}", None, "No."]
    assert logged[0]["log_level"] is LogLevel.warn


def test_a_closed_session_is_one_line_with_its_traffic(logged: list[Event]) -> None:
    sent = {"downstream": Traffic(3, 300), "upstream": Traffic(5, 5000)}
    closed = ClosedRecord(
        hold(),
        "sess_1",
        1011,
        "upstream",
        61.5,
        "splice",
        cast(Any, sent),
        {"input": 7},
        usage_seconds={"session": 6.0},
        responses={"cancelled": 1},
        turns=2,
        budget="day_tokens",
    )
    LogRecords().closed(closed)
    (event,) = logged
    assert said(event) == (
        "closed req_1 for 192.0.2.1 by upstream with code 1011 after 61.500 s,"
        " 3 messages up, 5 down"
    )
    fields = {
        "request_id": "req_1",
        "trace_id": "a1" * 16,
        "peer": "192.0.2.1",
        "subject": "ann",
        "model": "gpt-realtime",
        "upstream": "openai",
        "session_id": "sess_1",
        "close_code": 1011,
        "closed_by": "upstream",
        "seconds": 61.5,
        "messages_up": 3,
        "messages_down": 5,
        "bytes_up": 300,
        "bytes_down": 5000,
        "plane": "splice",
        "tokens": {"input": 7},
        "usage_seconds": {"session": 6.0},
        "responses": {"cancelled": 1},
        "turns": 2,
        "budget": "day_tokens",
        "lost_by": None,
        "quiet_seconds": None,
    }
    assert fields.items() <= event.items()
    assert event["log_level"] is LogLevel.info


def test_events_of_upstream_are_not_logged(logged: list[Event]) -> None:
    LogRecords().event(hold(), {"type": "response.done", "response": {"output": ["secret"]}})
    assert logged == []


def test_an_attempt_that_is_not_over_is_recorded_as_cancelled() -> None:
    attempt = AttemptRecord("openai")
    assert (attempt.stage, attempt.stages, attempt.outcome) == (None, {}, "cancelled")
    assert AttemptRecord("openai").stages is not attempt.stages


def test_a_refusals_line_tells_what_was_asked(logged: list[Event]) -> None:
    asked = {"method": "GET", "path": "/v1/{x}", "detail": "d", "outcome": "not_found"}
    LogRecords().refused(hold(**asked), refuse("not_found"))
    assert said(logged[0]).endswith(
        'after 0.123 s, GET /v1/{x}, model "gpt-realtime" (d); openai at first_event: open'
    )
    assert (logged[0]["method"], logged[0]["path"]) == ("GET", "/v1/{x}")


def answered(method: str = "POST", path: str = "/v1/{x}", status: int = 404) -> AnsweredRecord:
    return AnsweredRecord("req_1", "192.0.2.1", "a1" * 16, None, method, path, status)


@pytest.mark.parametrize("status", [200, 404, 501])
def test_a_plain_request_is_one_line_with_its_fields(logged: list[Event], status: int) -> None:
    LogRecords().answered(answered(status=status))
    (event,) = logged
    assert said(event) == f"answered req_1 for 192.0.2.1: {status}, POST /v1/{{x}}"
    assert event["log_level"] is LogLevel.info
    fields = {
        "request_id": "req_1",
        "trace_id": "a1" * 16,
        "peer": "192.0.2.1",
        "origin": None,
        "method": "POST",
        "path": "/v1/{x}",
        "status": status,
    }
    assert fields.items() <= event.items()


@pytest.mark.parametrize("path", ["/healthz", "/base/readyz", "/metrics"])
@pytest.mark.parametrize(("method", "lines"), [("GET", 0), ("HEAD", 0), ("POST", 1)])
def test_what_a_program_asks_again_and_again_is_not_logged(
    logged: list[Event], path: str, method: str, lines: int
) -> None:
    LogRecords().answered(answered(method, path, 200))
    assert len(logged) == lines


def test_a_model_that_a_caller_made_up_stays_within_its_quotes(logged: list[Event]) -> None:
    model = 'a" (b); openai at tls: open\n\x1b[2J' + "x" * 300
    refused = hold(outcome="model_not_allowed", model=model, attempts=[])
    LogRecords().refused(refused, refuse("model_not_allowed"))
    line = said(logged[0])
    quoted = line.partition(", model ")[2]
    assert json.loads(quoted) == shown(model)
    assert line.isprintable()


def test_a_session_that_ended_without_a_code_is_told_in_words(logged: list[Event]) -> None:
    traffic = no_traffic()
    ended = ClosedRecord(hold(), None, None, "downstream", 1.0, "splice", traffic, {})
    LogRecords().closed(ended)
    assert said(logged[0]).startswith(
        "closed req_1 for 192.0.2.1 by downstream without a code after 1.000 s, "
    )


def test_the_line_of_a_session_that_was_lost_says_how(logged: list[Event]) -> None:
    loss = Loss("end", 60.0)
    lost = ClosedRecord(
        hold(), None, 1001, "downstream", 1.0, "splice", no_traffic(), {}, loss=loss
    )
    LogRecords().closed(lost)
    assert said(logged[0]).endswith(f" 0 down; {loss.told()}")
    assert (logged[0]["lost_by"], logged[0]["quiet_seconds"]) == ("end", 60.0)


def test_a_refusal_by_a_breaker_tells_why_the_upstream_is_left_alone(logged: list[Event]) -> None:
    failed = attributed(refuse("upstream_timeout"), UpstreamFacts("openai", "tls"))
    refusal = Cause(failed, "2026-02-03T04:05:06Z").passing_over(3.0)
    passed_over = AttemptRecord("openai", outcome="upstream_unavailable")
    refused = hold(outcome="upstream_unavailable", attempts=[passed_over])
    LogRecords().refused(refused, refusal)
    assert said(logged[0]).endswith(
        "; openai: upstream_unavailable"
        "; openai is left alone for upstream_timeout at tls since 2026-02-03T04:05:06Z"
    )
    assert (logged[0]["cause"], logged[0]["since"]) == ("upstream_timeout", "2026-02-03T04:05:06Z")
