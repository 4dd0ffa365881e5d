"""The refusal table against the design, and both forms of a refusal on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, get_args

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.errors import RelayError
from relay.rules.refusal_forms import error_event, http_body, http_headers, http_response
from relay.rules.refusals import (
    KINDS,
    Refusal,
    RefusalCode,
    Refused,
    UpstreamFacts,
    attributed,
    refuse,
)

NO, YES = False, True

# The table of the design: code, HTTP status, retry, and what the answer must carry besides.
DESIGN: list[tuple[RefusalCode, int, bool, set[str]]] = [
    ("bad_request", 400, NO, set()),
    ("unauthorized", 401, NO, {"WWW-Authenticate"}),
    ("origin_not_allowed", 403, NO, set()),
    ("host_not_allowed", 403, NO, set()),
    ("model_not_allowed", 403, NO, set()),
    ("not_found", 404, NO, set()),
    ("method_not_allowed", 405, NO, {"Allow"}),
    ("upgrade_required", 426, NO, {"Upgrade", "Sec-WebSocket-Version"}),
    ("request_timeout", 408, NO, set()),
    ("head_too_large", 431, NO, set()),
    ("body_too_large", 413, NO, set()),
    ("too_many_sessions", 429, YES, {"Retry-After"}),
    ("rate_limited", 429, YES, {"Retry-After"}),
    ("budget_exhausted", 429, YES, {"Retry-After"}),
    ("internal_error", 500, YES, set()),
    ("upstream_dns_failed", 502, YES, set()),
    ("upstream_connect_failed", 502, YES, set()),
    ("upstream_tls_failed", 502, NO, set()),
    ("authorizer_unavailable", 503, YES, {"Retry-After"}),
    ("limits_unavailable", 503, YES, {"Retry-After"}),
    ("upstream_unauthorized", 502, NO, set()),
    ("upstream_refused", 502, NO, set()),
    ("upstream_rejected_request", 400, NO, set()),
    ("upstream_rate_limited", 503, YES, {"Retry-After"}),
    ("upstream_quota_exhausted", 502, NO, set()),
    ("not_supported", 501, NO, set()),
    ("upstream_unavailable", 503, YES, {"Retry-After"}),
    ("relay_full", 503, YES, {"Retry-After"}),
    ("draining", 503, YES, {"Retry-After"}),
    ("upstream_timeout", 504, YES, set()),
]
ALWAYS = {
    "Content-Type",
    "Content-Length",
    "Cache-Control",
    "Connection",
    "X-Request-Id",
    "X-Should-Retry",
}
CODES = sorted(KINDS)
FACTS = UpstreamFacts("openai", "tls", 503, "req_up")


def parsed(response: bytes) -> tuple[str, dict[str, str], Any]:
    """Status line, headers and JSON body; no header comes twice."""
    head, _, body = response.partition(b"\r\n\r\n")
    line, *rest = head.decode("ascii").split("\r\n")
    headers = [field.partition(": ") for field in rest]
    assert len({name.lower() for name, _, _ in headers}) == len(headers)
    named = {name: value for name, _, value in headers}
    assert named["Content-Length"] == str(len(body))
    return line, named, json.loads(body)


def test_the_table_of_refusals_is_as_designed() -> None:
    assert [row[0] for row in sorted(DESIGN)] == CODES


@pytest.mark.parametrize(("code", "status", "retry", "headers"), DESIGN)
def test_the_http_form_of_each_row(
    code: RefusalCode, status: int, retry: bool, headers: set[str]
) -> None:
    line, found, body = parsed(http_response(refuse(code), "req_1"))
    assert line == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    assert set(found) == ALWAYS | headers
    assert found["Content-Type"] == "application/json"
    assert found["Cache-Control"] == "no-store"
    assert found["X-Request-Id"] == "req_1"
    assert found["X-Should-Retry"] == ("true" if retry else "false")
    assert body == {
        "error": {
            "type": "relay_error",
            "code": code,
            "message": KINDS[code].message,
            "param": None,
            "request_id": "req_1",
            "retryable": retry,
            "attempts": 0,
            "upstream": None,
            **({"retry_after": int(found["Retry-After"])} if "Retry-After" in headers else {}),
        }
    }


@pytest.mark.parametrize(("code", "status", "retry"), [row[:3] for row in DESIGN])
def test_the_in_band_form_of_each_row(code: RefusalCode, status: int, retry: bool) -> None:
    refusal = refuse(code)
    event = json.loads(error_event(refusal, "req_1"))
    assert event.pop("type") == "error"
    assert isinstance(event.pop("event_id"), str)
    assert event == json.loads(http_body(refusal, "req_1"))
    assert refusal.close_code == (1013 if retry else 4000 + status)


@pytest.mark.parametrize("code", CODES)
def test_an_http_refusal_closes_the_connection(code: RefusalCode) -> None:
    _, headers, _ = parsed(http_response(refuse(code), "req_1"))
    expected = "close, upgrade" if code == "upgrade_required" else "close"
    assert headers["Connection"] == expected


@pytest.mark.parametrize("code", CODES)
def test_each_message_is_one_sentence(code: RefusalCode) -> None:
    message = KINDS[code].message
    assert message.isascii()
    assert message.isprintable()
    assert message.endswith(".")
    assert ". " not in message


@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        ("unauthorized", "WWW-Authenticate", 'Bearer realm="realtime-relay"'),
        ("upgrade_required", "Upgrade", "websocket"),
        ("upgrade_required", "Sec-WebSocket-Version", "13"),
        ("method_not_allowed", "Allow", "GET"),
        ("relay_full", "Retry-After", "5"),
        ("draining", "Retry-After", "1"),
    ],
)
def test_the_headers_of_a_refusal_say_its_details(code: RefusalCode, name: str, value: str) -> None:
    assert dict(http_headers(refuse(code), "req_1"))[name] == value


def test_what_a_call_may_not_be_is_told_with_what_to_use_instead() -> None:
    assert "Use the WebSocket transport" in refuse("not_supported").message


def test_a_refusal_may_have_another_status_and_message_than_its_row() -> None:
    better = refuse(
        "upstream_refused", "Why.", status=503, retryable=True, retry_after=7, upstream=FACTS
    )
    assert better == Refusal("upstream_refused", 503, True, "Why.", 7, FACTS)
    line, headers, body = parsed(http_response(better, "r"))
    assert line == "HTTP/1.1 503 Service Unavailable"
    assert (headers["Retry-After"], headers["X-Should-Retry"]) == ("7", "true")
    assert body["error"]["message"] == "Why."
    assert better.close_code == 1013


def test_a_refusal_may_be_final_though_its_row_is_retryable() -> None:
    assert refuse("upstream_timeout", retryable=False).close_code == 4504
    assert refuse("draining", retry_after=0).retry_after == 0


def test_a_refusal_tells_of_its_upstream() -> None:
    refusal = attributed(refuse("upstream_timeout"), FACTS)
    assert refusal == refuse("upstream_timeout", upstream=FACTS)
    told = json.loads(http_body(refusal, "r"))["error"]["upstream"]
    assert told == {"name": "openai", "stage": "tls", "status": 503, "request_id": "req_up"}


def test_a_refusal_tells_the_number_of_attempts() -> None:
    refusal = Refusal("upstream_timeout", 504, True, "Late.", attempts=2)
    assert json.loads(error_event(refusal, "r"))["error"]["attempts"] == 2


def test_a_refusal_for_an_earlier_failure_tells_its_cause_and_since_when() -> None:
    refusal = evolve(refuse("upstream_unavailable"), cause="upstream_timeout", since="then")
    error = json.loads(http_body(refusal, "r"))["error"]
    assert (error["cause"], error["since"]) == ("upstream_timeout", "then")
    assert json.loads(error_event(refusal, "r"))["error"] == error


def test_the_type_of_the_codes_names_each_row() -> None:
    assert get_args(RefusalCode) == tuple(KINDS)


@pytest.mark.parametrize("wrong", [{"message": b"no"}, {"retry_after": 1.5}, {"retry_after": -1}])
def test_a_value_that_no_refusal_can_say_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(RelayError, match=next(iter(wrong))):
        refuse("bad_request", **wrong)


def test_refusing_with_an_unknown_code_is_an_error() -> None:
    with pytest.raises(RelayError, match="must be one of bad_request, "):
        refuse("no_such_code")  # type: ignore[arg-type]


def test_an_exception_carries_its_refusal() -> None:
    refusal = refuse("draining")
    assert Refused(refusal).refusal is refusal
    assert str(Refused(refusal)) == "draining"


def refusals() -> Iterator[st.SearchStrategy[Refusal]]:
    texts = st.text(min_size=1, max_size=50)
    facts = st.builds(
        UpstreamFacts,
        name=texts,
        stage=st.none() | st.sampled_from(["dns", "upgrade"]),
        status=st.none() | st.integers(100, 599),
        request_id=st.none() | texts,
    )
    for code in CODES:
        yield st.builds(
            refuse, st.just(code), texts, retryable=st.booleans(), upstream=st.none() | facts
        )


@given(st.one_of(*refusals()))
def test_no_text_breaks_a_refusal_by_status_or_in_band(refusal: Refusal) -> None:
    line, headers, body = parsed(http_response(refusal, "req_1"))
    assert line.startswith(f"HTTP/1.1 {refusal.status} ")
    assert set(headers) >= ALWAYS
    assert body["error"]["message"] == refusal.message
    assert json.loads(error_event(refusal, "req_1"))["error"] == body["error"]
    assert refusal.close_code == 1013 or 4400 <= refusal.close_code <= 4599


@pytest.mark.parametrize("status", [200, 399, 499, 600])
def test_a_status_that_refuses_nothing_is_an_error(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        refuse("bad_request", status=status)
