"""What codes, types, statuses and close codes mean: by the words in them, not by a list."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.closes import Close
from relay.rules.refusals import Refusal
from relay.rules.said import Said, error_in
from relay.upstreams.classify import refusal_of_answer, refusal_of_opening
from relay.upstreams.meanings import (
    DENIED,
    FAILING,
    KEY,
    MISSING,
    OPENAI,
    QUOTA,
    RATE,
    REFUSED,
    REJECTED,
    Meaning,
    is_about_the_key,
    meaning_of_code,
    status_of_close,
    status_of_code,
)
from relay.upstreams.providers import PROVIDERS

Row = tuple[str, int, bool]
BY_MEANING: dict[Meaning, Row] = {
    DENIED: ("upstream_unauthorized", 502, False),
    KEY: ("upstream_unauthorized", 502, False),
    QUOTA: ("upstream_quota_exhausted", 502, False),
    RATE: ("upstream_rate_limited", 503, True),
    REJECTED: ("upstream_rejected_request", 400, False),
    MISSING: ("upstream_rejected_request", 404, False),
    REFUSED: ("upstream_refused", 502, False),
    FAILING: ("upstream_refused", 502, True),
}

FAMILIES: dict[Meaning, list[str]] = {
    QUOTA: [
        *("insufficient_quota", "quota_exceeded", "QuotaExceeded", "INSUFFICIENT_QUOTA"),
        *("credit_balance_exhausted", "insufficient_credits", "out-of-credit"),
        *("organization_spend_limit_exceeded", "project_spend_limit_exceeded"),
        *("organization_usage_limit_exceeded", "billing_hard_limit_reached", "billing_not_active"),
        *("payment_required", "BudgetExceededError", "insufficient_funds"),
    ],
    RATE: [
        *("rate_limit_exceeded", "rate_limit_error", "RateLimitError", "rate-limited"),
        *("too_many_requests", "too_many_sessions", "TooManyConnections", "Throttled"),
        *("ThrottlingException", "RESOURCE_EXHAUSTED", "concurrency_limit", "concurrent_sessions"),
    ],
    KEY: [
        *("authentication_error", "AuthenticationError", "UNAUTHENTICATED", "unauthorized"),
        *("invalid_api_key", "API_KEY_INVALID", "missing_api_key", "invalid_credentials"),
        *("invalid_token", "expired_token", "token_not_found_in_db", "account_deactivated"),
        *("incorrect_hostname", "auth_error", "invalid_auth", "not_authenticated"),
        *("ip_not_authorized", "expired_api_key"),
    ],
    DENIED: [
        *("permission_error", "permission_denied", "PERMISSION_DENIED", "insufficient_permissions"),
        *("PermissionDeniedError", "access_denied"),
        "The caller does not have permission to execute this",
    ],
    MISSING: [
        *("not_found", "not_found_error", "NotFoundError", "NOT_FOUND", "model_not_found"),
        *("call_id_not_found", "session_not_found", "DeploymentNotFound", "model_does_not_exist"),
    ],
    REJECTED: [
        *("content_policy_violation", "content_filter", "moderation_blocked"),
        *("invalid_model", "missing_model", "unsupported_model", "key_model_access_denied"),
    ],
    FAILING: [
        *("server_overloaded", "overloaded_error", "engine_overloaded", "ENGINE_OVERLOADED"),
        *("service_unavailable", "ServiceUnavailableError", "UNAVAILABLE", "slow_down", "SlowDown"),
        *("capacity_exceeded", "insufficient_capacity", "server_full", "full", "server_busy"),
        *("Deadline expired before operation could complete.",),
        *("timeout", "gateway_timeout", "DEADLINE_EXCEEDED", "temporarily_unavailable"),
        *("draining", "maintenance", "server_restarting"),
    ],
}
CASES = [(code, meaning) for meaning, codes in FAMILIES.items() for code in codes]
CLOSES = [None, Close(1000), Close(1008), Close(1011), Close(3000), Close(4000), Close(4401)]


def row(refusal: Refusal) -> Row:
    return refusal.code, refusal.status, refusal.retryable


def answer(status: int, error: Any, provider: str = "openai") -> Refusal:
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return refusal_of_answer(PROVIDERS[provider], status, {}, body, [])


def opening(event: Any, close: Close | None, provider: str = "openai") -> Refusal:
    return refusal_of_opening(PROVIDERS[provider], error_in(event), close, [])


@pytest.mark.parametrize(("code", "meaning"), CASES)
def test_a_code_means_what_its_words_say(code: str, meaning: Meaning) -> None:
    for provider in PROVIDERS:
        for status in (200, 400, 403, 404, 429, 500, 503):
            refusal = answer(status, {"code": code, "type": "t", "message": "m"}, provider)
            assert row(refusal) == BY_MEANING[meaning]


@pytest.mark.parametrize(("code", "meaning"), CASES)
@pytest.mark.parametrize("close", CLOSES)
def test_a_code_in_band_counts_before_the_close(
    code: str, meaning: Meaning, close: Close | None
) -> None:
    event = {"type": "error", "error": {"code": code, "message": "m"}}
    assert row(opening(event, close)) == BY_MEANING[meaning]


@pytest.mark.parametrize(("code", "meaning"), CASES)
def test_a_type_counts_where_the_code_says_nothing(code: str, meaning: Meaning) -> None:
    for unknown in (None, "", "something_new", 7):
        assert row(answer(400, {"code": unknown, "type": code})) == BY_MEANING[meaning]
        event = {"type": "error", "error": {"code": unknown, "type": code}}
        assert row(opening(event, Close(1008))) == BY_MEANING[meaning]


@pytest.mark.parametrize("code", FAMILIES[QUOTA])
@pytest.mark.parametrize("kind", ["rate_limit_error", "server_error", "invalid_request_error"])
def test_a_code_counts_before_its_type(code: str, kind: str) -> None:
    assert row(answer(429, {"code": code, "type": kind})) == BY_MEANING[QUOTA]
    rate = {"code": "rate_limit_exceeded", "type": "insufficient_quota"}
    assert row(answer(429, rate)) == BY_MEANING[RATE]


@pytest.mark.parametrize("code", ["something_limit_exceeded", None])
def test_an_unknown_code_of_the_type_quota_is_a_used_up_quota(code: str | None) -> None:
    assert row(answer(429, {"code": code, "type": "insufficient_quota"})) == BY_MEANING[QUOTA]


@pytest.mark.parametrize(
    "code", ["server_error", "internal_error", "InternalServerError", "INTERNAL", "api_error"]
)
@pytest.mark.parametrize("close", CLOSES)
def test_a_failure_of_the_service_in_band_is_worth_a_retry(code: str, close: Close | None) -> None:
    assert row(opening({"error": {"type": code, "message": "m"}}, close)) == BY_MEANING[FAILING]


@pytest.mark.parametrize("code", ["invalid_request_error", "bad_request", "INVALID_ARGUMENT"])
def test_a_wrong_request_in_band_is_the_callers_own_mistake(code: str) -> None:
    event = {"type": "error", "error": {"type": code, "message": "m"}}
    assert row(opening(event, Close(1011))) == BY_MEANING[REJECTED]


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_wrong_request_by_http_may_come_from_a_wrong_url(status: int) -> None:
    refusal = answer(status, {"type": "invalid_request_error", "message": "Invalid URL"})
    assert row(refusal) == BY_MEANING[REFUSED]


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("server_error", FAILING),
        ("overloaded", FAILING),
        ("Server is full", FAILING),
        ("Send the full name of a model", REFUSED),
        ("Too many sessions", RATE),
        ("Authentication failed", KEY),
        ("API key not valid. Please pass a valid API key.", KEY),
        ("Rate limit reached", RATE),
        ("You exceeded your current quota", QUOTA),
        ("invalid_request_error.call_id_not_found", MISSING),
        ("Invalid model name", REJECTED),
        ("policy", REFUSED),
    ],
)
def test_the_reason_of_a_close_says_what_others_say_by_a_code(
    reason: str, meaning: Meaning
) -> None:
    refusal = refusal_of_opening(PROVIDERS["generic"], None, Close(1008, reason), [])
    assert row(refusal) == BY_MEANING[meaning]


def test_a_long_text_is_no_code() -> None:
    text = "The server is full of " + "x" * 123
    assert row(opening({"type": "error", "error": text}, Close(1008))) == BY_MEANING[REFUSED]


@pytest.mark.parametrize(
    ("event", "meaning"),
    [
        ({"type": "error", "error": "Incorrect API key provided"}, KEY),
        ({"type": "error", "message": "No such voice", "code": "invalid_model"}, REJECTED),
        ({"code": "resource_exhausted", "error": "Too much."}, RATE),
        ({"type": "error", "error": {"error": {"code": "insufficient_quota"}}}, QUOTA),
        ({"type": "error", "error": {"code": 404, "message": "No voice x."}}, MISSING),
        ({"type": "error", "error": {"code": 403, "message": "No."}}, REFUSED),
        ({"type": "error", "error": {"code": 403, "message": "The key is not for this."}}, KEY),
        ({"type": "error", "error": {"code": "409", "message": "No."}}, REJECTED),
        ({"type": "error", "error": {"code": 529, "message": "No."}}, FAILING),
    ],
)
def test_every_shape_of_an_event_has_its_meaning(event: object, meaning: Meaning) -> None:
    assert row(opening(event, Close(1011))) == BY_MEANING[meaning]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (1000, REFUSED),
        (1001, FAILING),
        (1014, FAILING),
        (1011, FAILING),
        (3000, KEY),
        (3003, REFUSED),
        (3008, FAILING),
        (4400, REJECTED),
        (4401, KEY),
        (4403, REFUSED),
        (4404, MISSING),
        (4408, FAILING),
        (4429, RATE),
        (4500, FAILING),
        (4503, FAILING),
        (4600, REFUSED),
        (4399, REFUSED),
        (None, REFUSED),
    ],
)
def test_a_close_code_may_mean_a_status(code: int | None, meaning: Meaning) -> None:
    refusal = refusal_of_opening(PROVIDERS["openai"], None, Close(code), [])
    assert row(refusal) == BY_MEANING[meaning]


@pytest.mark.parametrize("code", ["", "t", "odd", "forbidden", "keys", "author", "t.u", "é"])
def test_a_code_without_a_known_word_means_nothing(code: str) -> None:
    assert meaning_of_code(OPENAI, code) is None
    assert status_of_code(code) is None


@pytest.mark.parametrize("text", ["Access denied", "Not in your country.", "monkeys", ""])
def test_most_texts_say_nothing_of_a_key(text: str) -> None:
    assert not is_about_the_key(text)


@given(st.text(max_size=200), st.none() | st.integers(0, 5000))
def test_any_code_has_a_meaning_or_none(code: str, close: int | None) -> None:
    meaning = meaning_of_code(OPENAI, code)
    assert meaning is None or meaning in BY_MEANING
    assert status_of_code(code) in (None, 400, 500)
    assert status_of_close(close) is None or 400 <= (status_of_close(close) or 0) < 600
    refusal_of_opening(PROVIDERS["openai"], Said((code,), code), Close(close, code), [])
