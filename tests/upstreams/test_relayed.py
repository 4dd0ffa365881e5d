"""A relay behind a relay: its refusal is taken for what it says, and for no more."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.closes import Close
from relay.rules.events import parse_event
from relay.rules.refusal_forms import error_event, http_body, http_headers
from relay.rules.refusals import KINDS, Refusal, RefusalCode, UpstreamFacts, attributed, refuse
from relay.rules.scrub import MAX_TEXT
from relay.upstreams.breaker import judged
from relay.upstreams.classify import MAX_RETRY_AFTER, refusal_of_answer, refusal_of_opening
from relay.upstreams.providers import PROVIDERS
from relay.upstreams.relayed import MAX_PATH, OUTER

CODES: list[RefusalCode] = list(KINDS)
X = UpstreamFacts("x", "tls", None, "req_x")
KEY = "Zq7-canary-upstream-key"

OPERATORS: dict[str, str] = {
    "unauthorized": "upstream_unauthorized",
    "upstream_unauthorized": "upstream_unauthorized",
    "upstream_quota_exhausted": "upstream_quota_exhausted",
}
CALLERS = {
    "bad_request": 400,
    "model_not_allowed": 403,
    "head_too_large": 431,
    "body_too_large": 413,
    "upstream_rejected_request": 400,
}


def by_http(inner: Refusal, provider: str = "openai") -> Refusal:
    headers = {name.lower(): value for name, value in http_headers(inner, "req_b")}
    body = http_body(inner, "req_b")
    return refusal_of_answer(PROVIDERS[provider], inner.status, headers, body, [KEY])


def in_band(inner: Refusal, provider: str = "openai") -> Refusal:
    error = parse_event(error_event(inner, "req_b")).error
    close = Close(inner.close_code, inner.code)
    return refusal_of_opening(PROVIDERS[provider], error, close, [KEY])


def forged(error: dict[str, Any], status: int = 502, **headers: str) -> Refusal:
    body = json.dumps({"error": {"type": "relay_error", **error}}).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal_of_answer(PROVIDERS["openai"], status, fields, body, [KEY])


def of_b(refusal: Refusal, inner: Refusal, *, band: bool) -> Refusal:
    """As the attempt attributes it."""
    status = None if band else inner.status
    stage = "first_event" if band else "upgrade"
    facts = UpstreamFacts("b", cast(Any, stage), status, "req_b", refusal.upstream)
    return attributed(refusal, facts)


both_ways = pytest.mark.parametrize("told", [by_http, in_band])
each_code = pytest.mark.parametrize("code", CODES)


def test_every_code_has_a_code_for_the_client() -> None:
    assert set(OUTER) == set(KINDS)
    assert set(OUTER.values()) <= {code for code in KINDS if code.startswith("upstream_")}


@each_code
@both_ways
def test_each_refusal_keeps_its_meaning(told: Any, code: RefusalCode) -> None:
    inner = attributed(refuse(code, "Do this."), X)
    for provider in PROVIDERS:
        outer = told(inner, provider)
        assert outer.code == OUTER[code]
        assert outer.retryable == inner.retryable
        assert outer.upstream == X
        if code in OPERATORS:
            assert outer.code == OPERATORS[code]
        elif inner.retryable:
            assert outer.retry_after == inner.retry_after
        if code in CALLERS:
            assert (outer.code, outer.status) == ("upstream_rejected_request", CALLERS[code])
        else:
            assert outer.status == KINDS[OUTER[code]].status


@each_code
@both_ways
def test_the_client_reads_what_the_other_relay_said(told: Any, code: RefusalCode) -> None:
    outer = told(refuse(code, "Do this."))
    if code in ("unauthorized", "upstream_unauthorized"):
        assert "Do this." not in outer.message
    else:
        assert outer.message == f"The upstream relay refused ({code}): Do this."
    assert outer.said == f"{code}: Do this."


def test_a_draining_relay_stays_worth_a_retry() -> None:
    outer = by_http(refuse("draining"))
    assert (outer.code, outer.status, outer.retry_after) == ("upstream_unavailable", 503, 1)
    assert outer.retryable


def test_our_key_at_the_other_relay_is_told_as_our_key() -> None:
    outer = by_http(refuse("unauthorized"))
    assert outer.message == refuse("upstream_unauthorized").message


@each_code
@pytest.mark.parametrize("retryable", [True, False])
def test_its_word_on_a_retry_counts(code: RefusalCode, retryable: bool) -> None:
    inner = refuse(code, retryable=retryable)
    for outer in (by_http(inner), in_band(inner)):
        assert outer.retryable == retryable
        assert retryable or outer.retry_after is None


def test_its_status_for_the_caller_is_kept() -> None:
    inner = refuse("upstream_rejected_request", status=404)
    assert by_http(inner).status == in_band(inner).status == 404
    assert by_http(refuse("model_not_allowed")).status == 403


@each_code
@both_ways
def test_each_refusal_survives_three_relays(told: Any, code: RefusalCode) -> None:
    inner = attributed(refuse(code), X)
    outer = of_b(told(inner), inner, band=told is in_band)
    last = told(outer)
    assert last.code == outer.code
    assert (last.retryable, last.status) == (outer.retryable, outer.status)
    assert last.upstream == outer.upstream
    assert last.upstream is not None
    assert last.upstream.upstream == X


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("unauthorized", "trips"),
        ("upstream_unauthorized", "passes"),  # perhaps for one model only
        *((code, "trips") for code in ("upstream_quota_exhausted", "budget_exhausted")),
        *((code, "passes") for code in CALLERS),
        *((code, "passes") for code in ("too_many_sessions", "rate_limited")),
        *((code, "passes") for code in ("not_found", "method_not_allowed", "upgrade_required")),
        ("upstream_rate_limited", "passes"),
        *((code, "counts") for code in ("internal_error", "authorizer_unavailable", "relay_full")),
        *((code, "counts") for code in ("draining", "upstream_unavailable", "upstream_timeout")),
        *((code, "counts") for code in ("upstream_dns_failed", "upstream_connect_failed")),
        ("upstream_tls_failed", "counts"),
    ],
)
def test_the_breaker_judges_each(code: RefusalCode, verdict: str) -> None:
    inner = refuse(code)
    for told in (by_http, in_band):
        assert judged(of_b(told(inner), inner, band=told is in_band)) == verdict


@pytest.mark.parametrize("told", [by_http, in_band])
def test_a_key_that_the_other_relay_gave_up_is_refused_to_all(told: Any) -> None:
    gave_up = evolve(refuse("upstream_unauthorized"), cause="upstream_unauthorized", since="now")
    assert judged(of_b(told(gave_up), gave_up, band=told is in_band)) == "trips"


@pytest.mark.parametrize(
    ("stage", "status", "verdict"),
    [
        ("upgrade", 400, "passes"),
        ("upgrade", 404, "passes"),
        ("first_event", None, "passes"),
        ("upgrade", 403, "counts"),
        ("upgrade", 302, "counts"),
    ],
)
@pytest.mark.parametrize("told", [by_http, in_band])
def test_mistakes_of_one_caller_open_no_breaker_two_relays_away(
    told: Any, stage: Any, status: int | None, verdict: str
) -> None:
    inner = refuse("upstream_refused", upstream=UpstreamFacts("x", stage, status))
    outer = of_b(told(inner), inner, band=told is in_band)
    assert judged(outer) == verdict
    assert judged(of_b(told(outer), outer, band=told is in_band)) == verdict


# -- forged --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["", "nonsense", None, 7, ["draining"], "cancelled"])
def test_an_unknown_code_is_a_refusal_for_no_known_reason(code: object) -> None:
    assert forged({"code": code, "message": "m"}).code == "upstream_refused"
    assert not forged({"code": code}).retryable
    assert forged({"code": code, "retryable": True}).retryable


@pytest.mark.parametrize("retryable", [None, 1, "true", []])
def test_a_word_on_a_retry_that_is_none_leaves_the_codes(retryable: object) -> None:
    assert forged({"code": "draining", "retryable": retryable}).retryable
    assert not forged({"code": "bad_request", "retryable": retryable}).retryable


def test_its_retry_after_is_clamped() -> None:
    assert forged({"code": "draining"}, retry_after="86400").retry_after == MAX_RETRY_AFTER


@pytest.mark.parametrize("status", [499, 101, 200, 503, 599])
def test_a_status_that_is_not_the_callers_is_not_kept(status: int) -> None:
    assert forged({"code": "upstream_rejected_request"}, status).status == 400


def test_its_text_is_scrubbed_and_short() -> None:
    outer = forged({"code": "draining", "message": f"{KEY}\r\n" + "x " * 999})
    assert KEY[:8] not in outer.message + outer.said
    assert len(outer.message) <= MAX_TEXT
    assert outer.message.isprintable()


def test_the_upstream_that_it_blames_is_scrubbed() -> None:
    upstream = {"name": f"n-{KEY}", "stage": "moon", "status": 7, "request_id": f"r-{KEY}\n"}
    outer = forged({"code": "draining", "upstream": upstream})
    assert outer.upstream == UpstreamFacts("[redacted]", None, None, "[redacted] ")


@pytest.mark.parametrize("upstream", [None, 7, "x", [], {}, {"name": 7}, {"name": ""}])
def test_an_upstream_without_a_name_is_none(upstream: object) -> None:
    assert forged({"code": "draining", "upstream": upstream}).upstream is None


def test_a_path_has_an_end() -> None:
    upstream: dict[str, Any] = {"name": "last"}
    for depth in range(50):
        upstream = {"name": f"n{depth}", "upstream": upstream}
    facts, length = forged({"code": "draining", "upstream": upstream}).upstream, 0
    while facts is not None:
        facts, length = facts.upstream, length + 1
    assert length == MAX_PATH


@given(
    st.dictionaries(
        st.sampled_from(["code", "message", "retryable", "upstream", "request_id", "status"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(CODES),
            lambda inner: st.dictionaries(
                st.sampled_from(["name", "stage", "status", "request_id", "upstream"]), inner
            ),
        ),
    ),
    st.integers(200, 599),
)
def test_any_object_gives_a_refusal(error: dict[str, Any], status: int) -> None:
    outer = attributed(forged(error, status), UpstreamFacts("b", "upgrade", status))
    assert json.loads(http_body(outer, "r"))["error"]["code"] in KINDS
