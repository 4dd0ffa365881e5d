"""
Which request meets which fault, and what an HTTP refusal looks like.
"""

from __future__ import annotations

import json
import re

import pytest

from relay.simulator.faults import (
    FAULTS,
    INVALID_INTENT,
    MISSING_MODEL,
    CloseWith,
    EventRefusal,
    Fault,
    Hang,
    HttpRefusal,
    Reset,
    ResetAfter,
    Silent,
    Slow,
    http_answer,
    of_realtime,
    of_translations,
    parse_model,
)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("fault-silent", Silent()),
        ("fault-hang", Hang()),
        ("fault-reset", Reset()),
        ("fault-reset-after-1", ResetAfter(1)),
        ("fault-reset-after-12", ResetAfter(12)),
        ("fault-close-1011", CloseWith(1011)),
        ("fault-close-0", CloseWith(0)),
        ("fault-close-65535", CloseWith(65535)),
        ("fault-slow", Slow()),
    ],
)
def test_a_models_name_asks_for_its_fault(model: str, fault: Fault) -> None:
    assert parse_model(model) == fault


@pytest.mark.parametrize(
    ("model", "status", "code", "retries"),
    [
        ("fault-http-401", 401, "invalid_api_key", False),
        ("fault-http-403", 403, "insufficient_permissions", False),
        ("fault-http-429", 429, "rate_limit_exceeded", True),
        ("fault-http-500", 500, "server_error", False),
        ("fault-http-503", 503, "server_overloaded", True),
        ("fault-quota", 429, "insufficient_quota", False),
    ],
)
def test_a_models_name_asks_for_an_http_refusal(
    model: str, status: int, code: str, retries: bool
) -> None:
    fault = parse_model(model)
    assert isinstance(fault, HttpRefusal)
    assert (fault.status, fault.code) == (status, code)
    assert (fault.retry_after is not None) == retries


@pytest.mark.parametrize(
    ("model", "close", "code"),
    [("fault-error-3000", 3000, "invalid_api_key"), ("fault-error-4000", 4000, "invalid_model")],
)
def test_a_models_name_asks_for_a_refusal_by_event(model: str, close: int, code: str) -> None:
    fault = parse_model(model)
    assert isinstance(fault, EventRefusal)
    assert (fault.close_code, fault.code) == (close, code)
    assert fault.reason == f"invalid_request_error.{code}"


@pytest.mark.parametrize(
    "model",
    [
        "gpt-realtime",
        "",
        "fault",
        "fault-http-418",
        "fault-close-",
        "fault-close-65536",
        "fault-close-CODE",
        "fault-close-1000\n",
        "fault-close-\u0661",
        "fault-reset-after-0",
        "fault-reset-after-N",
        "xfault-hang",
        "fault-hangx",
    ],
)
def test_any_other_model_has_no_fault(model: str) -> None:
    assert parse_model(model) is None


def test_each_row_of_the_table_is_one_sentence_with_its_own_name() -> None:
    assert len({row.name for row in FAULTS}) == len(FAULTS)
    for row in FAULTS:
        assert re.fullmatch(r"[A-Z][^.]*(\.created[^.]*)?\.", row.description), row.description


def test_every_fault_of_the_table_can_be_asked_for() -> None:
    for row in FAULTS:
        assert parse_model(re.sub("[A-Z]+", "1000", row.name)) is not None


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"model": ["gpt-realtime"]}, None),
        ({"model": ["fault-hang", "other"]}, Hang()),
        ({"intent": ["transcription"]}, None),
        ({"intent": ["dance"]}, INVALID_INTENT),
        ({"call_id": ["rtc_1"]}, None),
        ({}, MISSING_MODEL),
        ({"other": ["x"]}, MISSING_MODEL),
    ],
)
def test_the_query_decides_the_fault(query: dict[str, list[str]], fault: Fault | None) -> None:
    assert of_realtime(query) == fault


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"model": ["gpt-realtime-translate"]}, None),
        ({"model": ["fault-hang"]}, Hang()),
        ({"intent": ["transcription"]}, MISSING_MODEL),
        ({}, MISSING_MODEL),
    ],
)
def test_a_translation_session_has_a_model(
    query: dict[str, list[str]], fault: Fault | None
) -> None:
    assert of_translations(query) == fault


def test_an_http_refusal_is_a_whole_answer() -> None:
    head, body = http_answer(HttpRefusal(503, "t", "c", "m", 7), "req_1").split(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 503 Service Unavailable",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
        b"x-request-id: req_1",
        b"Retry-After: 7",
    ]
    assert json.loads(body) == {"error": {"message": "m", "type": "t", "param": None, "code": "c"}}


def test_an_http_refusal_without_retry_has_no_retry_after() -> None:
    assert b"Retry-After" not in http_answer(HttpRefusal(500, "t", "c", "m"), "req_1")
