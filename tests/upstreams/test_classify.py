"""What an upstream's refusals mean for who asked."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.closes import Close
from relay.rules.refusal_forms import error_event, http_response
from relay.rules.refusals import Refusal, UpstreamFacts, attributed, refuse
from relay.rules.said import Said
from relay.rules.scrub import PREFIX, scrub
from relay.upstreams.classify import MAX_RETRY_AFTER, refusal_of_answer, refusal_of_opening
from relay.upstreams.providers import PROVIDERS

OPENAI, GENERIC = PROVIDERS["openai"], PROVIDERS["generic"]
KEY = "Zq7/canary+K3Y-0f=an?upstream"

Row = tuple[str, int, bool]
UNAUTHORIZED: Row = ("upstream_unauthorized", 502, False)
QUOTA: Row = ("upstream_quota_exhausted", 502, False)
LIMITED: Row = ("upstream_rate_limited", 503, True)
REJECTED: Row = ("upstream_rejected_request", 400, False)
NO_MODEL: Row = ("upstream_rejected_request", 404, False)
REFUSED: Row = ("upstream_refused", 502, False)
FAILING: Row = ("upstream_refused", 502, True)

MODEL_CODES = ["invalid_model", "missing_model"]
CALLER_CODES = [
    "invalid_intent",
    "missing_intent",
    "invalid_call_id",
    "beta_api_shape_disabled",
]
KEY_CODES = ["invalid_api_key", "account_deactivated", "invalid_organization"]
QUOTA_CODES = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"]


def row(refusal: Refusal) -> Row:
    return refusal.code, refusal.status, refusal.retryable


def body(code: str | None, message: str = "Their text.") -> bytes:
    return json.dumps({"error": {"type": "t", "code": code, "message": message}}).encode()


def answer(status: int, payload: bytes = b"", provider: str = "openai", **more: str) -> Refusal:
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return refusal_of_answer(PROVIDERS[provider], status, headers, payload, [KEY])


def opening(
    code: str | None, close: Close | None = None, provider: str = "openai", text: str = "Text."
) -> Refusal:
    error = None if code is None else Said((code,) if code else (), text)
    return refusal_of_opening(PROVIDERS[provider], error, close, [KEY])


class TestAnswers:
    @pytest.mark.parametrize("code", [None, "anything", *KEY_CODES])
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_http_401_is_a_refused_key(self, code: str | None, provider: str) -> None:
        refusal = answer(401, body(code), provider)
        assert row(refusal) == UNAUTHORIZED
        assert "Their text." not in refusal.message

    @pytest.mark.parametrize(
        "payload",
        [
            *map(body, KEY_CODES),
            body("permission_denied"),
            body("PermissionDeniedError"),
            body("insufficient_permissions"),
            body(None, "You have insufficient permissions for this operation."),
            body(None, "This key may not use the Realtime API."),
            body("forbidden", "Credentials are not valid for this model."),
            b'{"error":{"code":403,"message":"No.","status":"PERMISSION_DENIED"}}',
            b'{"detail":"Not authenticated"}',
            b"Missing API key",
        ],
    )
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_http_403_that_says_so_is_a_refused_key(self, payload: bytes, provider: str) -> None:
        refusal = answer(403, payload, provider)
        assert row(refusal) == UNAUTHORIZED
        assert refusal.message == refuse("upstream_unauthorized").message

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"Forbidden",
            b"403 Forbidden",
            b"<html><h1>403 Forbidden</h1> your key</html>",
            b'{"detail":"Forbidden"}',
            b'{"error":"forbidden"}',
            b'{"error":{"code":403,"message":"Forbidden"}}',
            b"x" * 9999,
        ],
    )
    def test_http_403_without_a_reason_is_told_as_that(self, payload: bytes) -> None:
        refusal = answer(403, payload)
        assert row(refusal) == REFUSED
        assert refusal.message == "The upstream refused with 403 and gave no reason."

    def test_http_403_with_another_reason_tells_it(self) -> None:
        refusal = answer(403, body("unsupported_country_region_territory", "Not in your country."))
        assert row(refusal) == REFUSED
        said = "unsupported_country_region_territory: Not in your country."
        assert refusal.message == f"The upstream answered HTTP 403 ({said})."

    @pytest.mark.parametrize("status", [400, 404, 429, 500])
    @pytest.mark.parametrize("code", KEY_CODES)
    def test_a_key_code_under_any_status_is_a_refused_key(self, status: int, code: str) -> None:
        refusal = answer(status, body(code))
        assert row(refusal) == UNAUTHORIZED
        assert "Their text." not in refusal.message

    @pytest.mark.parametrize("status", [400, 402, 429, 503])
    @pytest.mark.parametrize("code", QUOTA_CODES)
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_a_quota_code_under_any_status_is_a_used_up_quota(
        self, status: int, code: str, provider: str
    ) -> None:
        assert row(answer(status, body(code), provider)) == QUOTA

    @pytest.mark.parametrize("code", MODEL_CODES + CALLER_CODES)
    @pytest.mark.parametrize("status", [400, 403, 404])
    def test_a_caller_code_is_the_callers_own_mistake(self, status: int, code: str) -> None:
        assert row(answer(status, body(code))) == REJECTED

    @pytest.mark.parametrize("status", [400, 404])
    def test_the_caller_is_told_what_upstream_said(self, status: int) -> None:
        refusal = answer(status, body("model_not_found", "No model x."))
        assert row(refusal) == NO_MODEL
        assert refusal.message == "The upstream rejected the request (model_not_found): No model x."

    def test_a_missing_deployment_of_azures_is_a_missing_model(self) -> None:
        payload = body("DeploymentNotFound", "The API deployment does not exist.")
        assert row(answer(404, payload, "azure")) == NO_MODEL

    @pytest.mark.parametrize("code", ["OperationNotSupported", "OpperationNotSupported"])
    def test_a_model_on_azures_wrong_path_is_the_callers_own_mistake(self, code: str) -> None:
        assert row(answer(400, body(code), "azure")) == REJECTED
        assert row(answer(400, body(code))) == REFUSED

    def test_a_status_in_googles_form_is_told(self) -> None:
        payload = b'{"error":{"code":409,"message":"No such thing.","status":"ABORTED"}}'
        said = "The upstream answered HTTP 409 (ABORTED: No such thing.)."
        assert answer(409, payload, "gemini").message == said

    def test_a_caller_is_told_what_to_do_where_upstream_says_nothing(self) -> None:
        refusal = answer(400, body("invalid_model", ""))
        assert refusal.message == refuse("upstream_rejected_request").message

    @pytest.mark.parametrize("code", CALLER_CODES)
    def test_a_generic_upstream_has_no_caller_codes(self, code: str) -> None:
        assert row(answer(400, body(code), "generic")) == REFUSED

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (200, REFUSED),
            (204, REFUSED),
            (302, REFUSED),
            (400, REFUSED),
            (404, REFUSED),
            (405, REFUSED),
            (408, FAILING),
            (409, REFUSED),
            (426, REFUSED),
            (402, QUOTA),
            (422, REJECTED),
            (499, REFUSED),
            (500, FAILING),
            (502, FAILING),
            (503, FAILING),
            (504, FAILING),
            (599, FAILING),
            (429, LIMITED),
        ],
    )
    @pytest.mark.parametrize("payload", [b"", b"<html>", b"[]", body(None), body("unknown")])
    def test_a_status_without_a_known_code_decides(
        self, status: int, expected: Row, payload: bytes
    ) -> None:
        for provider in PROVIDERS:
            assert row(answer(status, payload, provider)) == expected

    def test_a_rate_limit_code_under_any_status_is_a_rate_limit(self) -> None:
        assert row(answer(400, body("rate_limit_exceeded"))) == LIMITED

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            (b"", "The upstream answered HTTP 500."),
            (body("oops", ""), "The upstream answered HTTP 500 (oops)."),
            (body("oops", "Bad"), "The upstream answered HTTP 500 (oops: Bad)."),
            (b'{"error":{"message":"Bad"}}', "The upstream answered HTTP 500 (Bad)."),
        ],
    )
    def test_the_words_of_an_answer_are_passed_on(self, payload: bytes, message: str) -> None:
        assert answer(500, payload).message == message

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 1),
            ("1", 1),
            ("17", 17),
            (str(MAX_RETRY_AFTER), MAX_RETRY_AFTER),
            (str(MAX_RETRY_AFTER + 1), MAX_RETRY_AFTER),
            ("9" * 5000, MAX_RETRY_AFTER),
            ("", 5),
            ("-1", 5),
            ("1.5", 5),
            ("²", 5),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 5),
        ],
    )
    def test_an_upstreams_retry_after_is_clamped(self, value: str, seconds: int) -> None:
        assert answer(429, retry_after=value).retry_after == seconds

    def test_a_rate_limit_without_retry_after_gets_the_relays_own(self) -> None:
        assert answer(429).retry_after == 5

    def test_a_failure_that_may_pass_keeps_its_retry_after(self) -> None:
        assert answer(500, retry_after="7").retry_after == 7
        assert answer(503).retry_after is None
        assert answer(503, retry_after="Sun, 06 Nov 2094 08:49:37 GMT").retry_after == 5

    def test_a_final_refusal_has_no_retry_after(self) -> None:
        assert answer(400, retry_after="7").retry_after is None
        assert answer(429, body("insufficient_quota"), retry_after="7").retry_after is None


class TestOpenings:
    """The error event, the Close, or both."""

    @pytest.mark.parametrize("code", KEY_CODES)
    @pytest.mark.parametrize("close", [None, Close(3000, "x.y"), Close(4000), Close(1008)])
    def test_an_error_with_a_key_code_is_a_refused_key(
        self, code: str, close: Close | None
    ) -> None:
        refusal = opening(code, close)
        assert row(refusal) == UNAUTHORIZED
        assert "Text." not in refusal.message

    @pytest.mark.parametrize("code", [None, "unknown", ""])
    @pytest.mark.parametrize("provider", PROVIDERS)
    def test_a_close_3000_is_a_refused_key(self, code: str | None, provider: str) -> None:
        refusal = opening(code, Close(3000, "whatever"), provider)
        assert row(refusal) == UNAUTHORIZED
        assert "Text." not in refusal.message
        assert "whatever" not in refusal.message

    @pytest.mark.parametrize("code", QUOTA_CODES)
    def test_an_error_with_a_quota_code_is_a_used_up_quota(self, code: str) -> None:
        assert row(opening(code, Close(4000, f"invalid_request_error.{code}"))) == QUOTA

    def test_an_error_with_a_rate_limit_code_is_a_rate_limit(self) -> None:
        refusal = opening("rate_limit_exceeded")
        assert row(refusal) == LIMITED
        assert refusal.retry_after == 5

    @pytest.mark.parametrize("code", MODEL_CODES + CALLER_CODES)
    @pytest.mark.parametrize("close", [None, Close(4000, "x")])
    def test_an_error_with_a_caller_code_is_the_callers_own_mistake(
        self, code: str, close: Close | None
    ) -> None:
        refusal = opening(code, close)
        assert row(refusal) == REJECTED
        assert refusal.message == f"The upstream rejected the request ({code}): Text."

    def test_an_error_of_a_missing_model_is_404(self) -> None:
        assert row(opening("model_not_found")) == NO_MODEL

    @pytest.mark.parametrize(
        ("close", "expected"),
        [
            (Close(3000, "invalid_request_error.invalid_api_key"), UNAUTHORIZED),
            (Close(4000, "invalid_request_error.invalid_model"), REJECTED),
            (Close(4000, "invalid_request_error.missing_model"), REJECTED),
            (Close(4000, "invalid_request_error.invalid_intent"), REJECTED),
            (Close(4000, "invalid_request_error.beta_api_shape_disabled"), REJECTED),
            (Close(4004, "invalid_request_error.model_not_found"), NO_MODEL),
            (Close(4004, "model_not_found"), NO_MODEL),
            (Close(4000, "insufficient_quota"), QUOTA),
            (Close(4000, "invalid_api_key"), UNAUTHORIZED),
            (Close(4000, "other"), REFUSED),
            (Close(1000), REFUSED),
            (Close(1001), FAILING),
            (Close(1008, "policy"), REFUSED),
            (Close(1010), REFUSED),
            (Close(1011), FAILING),
            (Close(1012), FAILING),
            (Close(1013), FAILING),
            (Close(1014), FAILING),
            (Close(None), REFUSED),
        ],
    )
    def test_a_close_without_an_error_decides(self, close: Close, expected: Row) -> None:
        assert row(opening(None, close)) == expected

    @pytest.mark.parametrize(
        ("close", "expected"),
        [(None, REFUSED), (Close(4000), REFUSED), (Close(1011), FAILING), (Close(1013), FAILING)],
    )
    def test_after_an_unknown_error_the_close_decides(
        self, close: Close | None, expected: Row
    ) -> None:
        for provider in PROVIDERS:
            assert row(opening("something_new", close, provider)) == expected

    def test_the_error_counts_before_the_close(self) -> None:
        close = Close(4000, "invalid_request_error.invalid_model")
        assert row(opening("insufficient_quota", close)) == QUOTA

    @pytest.mark.parametrize(
        ("code", "close", "message"),
        [
            ("oops", None, "The upstream sent an error first (oops: Text.)."),
            ("", None, "The upstream sent an error first (Text.)."),
            (None, Close(1008), "The upstream closed at once with code 1008."),
            (None, Close(1008, "why"), "The upstream closed at once with code 1008 (why)."),
        ],
    )
    def test_the_words_of_an_error_are_passed_on(
        self, code: str | None, close: Close | None, message: str
    ) -> None:
        assert opening(code, close).message == message


RAW = KEY.encode()
SHOWN = {
    "raw": KEY,
    "base64": base64.b64encode(RAW).decode(),
    "urlsafe": base64.urlsafe_b64encode(RAW).decode(),
    "url-encoded": quote(KEY, safe=""),
    "masked": KEY[:PREFIX] + "********",
}
CANARIES = [shown[:PREFIX].encode() for shown in SHOWN.values()]
AROUND = st.text(max_size=20)
CODES = st.sampled_from(["", "invalid_model", "model_not_found", "other", "rate_limit_exceeded"])
STATUSES = st.sampled_from([200, 302, 400, 401, 403, 404, 408, 429, 500, 503])


@st.composite
def echoes(draw: st.DrawFn) -> str:
    """A text from upstream that quotes the key."""
    return draw(AROUND) + draw(st.sampled_from(list(SHOWN.values()))) + draw(AROUND)


def assert_silent(refusal: Refusal, request_id: str = "") -> None:
    facts = UpstreamFacts("openai", "upgrade", 400, scrub(request_id, [KEY]))
    told = attributed(refusal, facts)
    for sent in (http_response(told, "req_1"), error_event(told, "req_1")):
        assert not [canary for canary in CANARIES if canary in sent]


class TestSecrets:
    @given(STATUSES, CODES | echoes(), echoes(), echoes())
    def test_no_answer_tells_the_key(
        self, status: int, code: str, message: str, request_id: str
    ) -> None:
        payload = json.dumps({"error": {"code": code, "message": message}}).encode()
        assert_silent(answer(status, payload, retry_after=request_id), request_id)

    @given(
        st.none() | CODES | echoes(),
        echoes(),
        st.none() | st.builds(Close, st.sampled_from([1000, 1008, 1011, 3000, 4000]), echoes()),
    )
    def test_no_event_or_close_tells_the_key(
        self, code: str | None, message: str, close: Close | None
    ) -> None:
        assert_silent(opening(code, close, text=message))

    @given(STATUSES | st.integers(200, 599), st.binary(max_size=60))
    def test_any_body_of_an_answer_gives_a_refusal(self, status: int, payload: bytes) -> None:
        assert answer(status, payload).status >= 400


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_passes_on_no_text(status: int) -> None:
    body = b'{"error":{"code":"model_not_found","message":"key sk-odd"}}'
    refusal = refusal_of_answer(PROVIDERS["openai"], status, {}, body, [])
    assert "sk-" not in refusal.message


def test_a_close_3000_passes_on_no_text() -> None:
    error = Said(("invalid_model",), "key sk-odd")
    refusal = refusal_of_opening(PROVIDERS["openai"], error, Close(3000), [])
    assert "sk-" not in refusal.message


def test_a_close_without_a_code_is_told_as_that() -> None:
    refusal = refusal_of_opening(PROVIDERS["openai"], None, Close(None), [])
    assert refusal.message == "The upstream closed at once without a code."
