"""A gateway reports another's answer in a text; that answer decides."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.closes import Close
from relay.rules.refusals import Refusal, UpstreamFacts, attributed
from relay.rules.said import error_in
from relay.upstreams.breaker import FAILURES, Breaker, judged
from relay.upstreams.carried import MAX_SEARCHED, codes_in, statuses_in
from relay.upstreams.classify import refusal_of_answer, refusal_of_opening
from relay.upstreams.providers import PROVIDERS

REJECTED = ("upstream_rejected_request", 400, False)
MISSING = ("upstream_rejected_request", 404, False)
KEY = ("upstream_unauthorized", 502, False)
QUOTA = ("upstream_quota_exhausted", 502, False)
RATE = ("upstream_rate_limited", 503, True)
REFUSED = ("upstream_refused", 502, False)
FAILING = ("upstream_refused", 502, True)

TEXTS = {
    "server_error: 400: realtime: Invalid model name passed in model=x": REJECTED,
    "400: Invalid model name": REJECTED,
    "400 Bad Request": REJECTED,
    "[422] no such voice": REJECTED,
    "Error code: 404 - {'error': {'message': 'No model x.'}}": MISSING,
    "Error code: 400 - {'error': {'message': 'no', 'code': 'model_not_found'}}": MISSING,
    "Error code: 429 - {'error': {'type': 'insufficient_quota', 'code': None}}": QUOTA,
    "Error code: 429 - slow": RATE,
    "Error code: 401 - wrong": KEY,
    "server rejected WebSocket connection: HTTP 403": REFUSED,
    "server rejected WebSocket connection: HTTP 404": MISSING,
    "Unexpected server response: 400": REJECTED,
    "upstream answered HTTP/1.1 409 Conflict": REJECTED,
    "status_code=400, detail='no voice'": REJECTED,
    '{"status": 400, "note": "no voice"}': REJECTED,
    "Failed with status code 400.": REJECTED,
    "The backend returned 404": MISSING,
    "API error (400) of the model": REJECTED,
    "litellm.BadRequestError: OpenAIException - Invalid model name": REJECTED,
    "litellm.UnsupportedParamsError: no voice": REJECTED,
    "litellm.NotFoundError: OpenAIException - no model x": MISSING,
    "litellm.AuthenticationError: AuthenticationError: OpenAIException": KEY,
    "litellm.RateLimitError: AzureException": RATE,
    "litellm.ContentPolicyViolationError: no": REJECTED,
    "litellm.ServiceUnavailableError: AzureException": FAILING,
    "openai.InternalServerError: Error code: 500": FAILING,
    "InternalServerError: litellm.BadRequestError: Error code: 400": REJECTED,
    "Error code: 503 - later": FAILING,
    "Model 'x' is not installed locally.": REJECTED,
    "The model `x` does not exist or your team has no access to it.": MISSING,
    "Project `p` does not have access to model `x`": REJECTED,
    "/realtime: Invalid model name passed in model=x": REJECTED,
    "Out of call volume quota. It will be replenished in 12:12:12.": QUOTA,
    "You exceeded your current quota, please check your plan. " + "y" * 123: QUOTA,
    "received 4000 (private use) invalid_request_error.invalid_model; then sent 4000": REJECTED,
    "received 3000 (registered) invalid_request_error.invalid_api_key": KEY,
    "received 1013 (try again later); then sent 1013 (try again later)": FAILING,
    "closed with code 4429": RATE,
    "You have exceeded your requests per minute quota": RATE,
    "Incorrect API key provided: sk-abc***xyz": KEY,
    "Session limit of 400 sessions reached after 500 ms": FAILING,
    "The code 4004 came": FAILING,
    "Something broke": FAILING,
}


def row(refusal: Refusal) -> tuple[str, int, bool]:
    return refusal.code, refusal.status, refusal.retryable


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_a_status_or_code_in_the_text_of_a_gateways_failure_decides(
    text: str, expected: tuple[str, int, bool]
) -> None:
    for error in (text, {"type": "server_error", "message": text}, {"code": 500, "message": text}):
        body = json.dumps({"error": error}).encode()
        assert row(refusal_of_answer(PROVIDERS["openai"], 500, {}, body, [])) == expected
        said = error_in({"type": "error", "error": error})
        opened = refusal_of_opening(PROVIDERS["openai"], said, Close(1011), [])
        assert row(opened) == expected
    closed = refusal_of_opening(PROVIDERS["generic"], None, Close(1011, text), [])
    assert row(closed) == expected


def test_an_answers_own_4xx_counts_before_its_text() -> None:
    body = json.dumps({"error": {"message": "status 503, later"}}).encode()
    assert row(refusal_of_answer(PROVIDERS["openai"], 404, {}, body, [])) == REFUSED


def test_mistakes_of_one_caller_open_no_breaker_behind_a_gateway() -> None:
    text = "server_error: 400: realtime: Invalid model name"
    said = error_in({"type": "error", "error": text})
    breaker = Breaker(lambda: 0.5, lambda: "2026-11-26T08:00:00Z")
    for facts, refusal in (
        (
            UpstreamFacts("gateway", "first_event"),
            refusal_of_opening(PROVIDERS["openai"], said, Close(1011, text), []),
        ),
        (
            UpstreamFacts("gateway", "upgrade", 500),
            refusal_of_answer(PROVIDERS["openai"], 500, {}, text.encode(), []),
        ),
    ):
        told = attributed(refusal, facts)
        assert judged(told) == "passes"
        for now in range(2 * FAILURES):
            breaker.failed(told, now, breaker.begin(now))
        assert breaker.state(0) == "closed"


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        ("", []),
        ("HTTP 200", []),
        ("HTTP 600", []),
        ("port 443 of error", []),
        ("error 40", []),
        ("error 4000", []),
        ("http 404.5", []),
        ("HTTP 404.", [404]),
        ("Error code: 502; status: 404", [502, 404]),
        ("received 3000 (registered)", [401]),
        ("closed with code 1000", []),
        ("disclose: 1011", []),
        ("received 4404 bytes", []),
        ("x" * MAX_SEARCHED + " HTTP 404", []),
    ],
)
def test_statuses_are_found_where_a_text_calls_them_that(text: str, statuses: list[int]) -> None:
    assert statuses_in(text) == statuses


@given(st.text(max_size=300))
def test_any_text_can_be_searched(text: str) -> None:
    assert all(400 <= status < 600 for status in statuses_in(text))
    assert all(codes_in(text))


@pytest.mark.parametrize(
    "text", ["Aa" * 2000, "Error code: " * 400, "a: " * 900, "'code': '" * 300]
)
def test_a_hostile_text_is_searched_at_once(text: str) -> None:
    assert statuses_in(text) == []
    assert codes_in(text) == ()
