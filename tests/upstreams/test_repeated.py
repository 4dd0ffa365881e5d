"""
An upstream repeats what its caller wrote, such as the name of a model. These words say nothing of
the upstream: else one caller could keep all others out.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.closes import Close
from relay.rules.refusals import Refusal, UpstreamFacts, attributed
from relay.rules.said import error_in
from relay.upstreams.breaker import judged
from relay.upstreams.carried import words_of
from relay.upstreams.classify import refusal_of_answer, refusal_of_opening
from relay.upstreams.providers import PROVIDERS

MODELS = [
    *("api_key", "no api key", "invalid_api_key", "credential", "permission", "quota", "billing"),
    *("full", "capacity", "HTTP 401", "unauthorized: 401", "status 503", "AuthenticationError"),
    *("'code': 'invalid_api_key'", "gpt-401", "received 3000", "x/out of quota"),
]
TEXTS = [
    "litellm.BadRequestError: Invalid model name passed in model={model}",
    "400: Invalid model name {model}",
    "The model `{model}` does not exist",
    "Unknown voice: {model}",
    "{model}: no such model",
    "Model {model} is not for you",
]


def from_http(status: int, error: object, asked: str) -> Refusal:
    body = json.dumps({"error": error}).encode()
    refusal = refusal_of_answer(PROVIDERS["openai"], status, {}, body, [], words_of([asked]))
    return attributed(refusal, UpstreamFacts("a", "upgrade", status))


def in_band(error: object, close: Close | None, asked: str) -> Refusal:
    said = None if error is None else error_in({"type": "error", "error": error})
    refusal = refusal_of_opening(PROVIDERS["generic"], said, close, [], words_of([asked]))
    return attributed(refusal, UpstreamFacts("a", "first_event"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_name_of_a_model_never_blames_the_upstream(model: str, text: str) -> None:
    told = text.format(model=model)
    for error in (told, {"message": told}, {"message": told, "type": "invalid_request_error"}):
        for status in (400, 403, 404):
            assert judged(from_http(status, error, model)) == "passes"
        for close in (None, Close(1000), Close(1008), Close(4000)):
            assert judged(in_band(error, close, model)) == "passes"
    assert judged(in_band(None, Close(1008, told), model)) == "passes"


@pytest.mark.parametrize("text", TEXTS[:2])
@pytest.mark.parametrize("model", MODELS)
def test_nor_does_it_in_a_gateways_failure(text: str, model: str) -> None:
    told = text.format(model=model)
    assert judged(from_http(500, told, model)) == "passes"
    assert judged(in_band(told, Close(1011, told), model)) == "passes"


@pytest.mark.parametrize(
    ("status", "error", "code", "verdict"),
    [
        (401, "No.", "upstream_unauthorized", "trips"),
        (400, "Incorrect API key provided", "upstream_unauthorized", "trips"),
        (403, {"code": "invalid_api_key"}, "upstream_unauthorized", "trips"),
        (403, {"code": "permission_denied"}, "upstream_unauthorized", "passes"),
        (403, "Your key may not do that", "upstream_unauthorized", "passes"),
        (403, "Not in your country", "upstream_refused", "counts"),
        (403, "Not in your country: gpt-1", "upstream_refused", "passes"),
        (401, {"code": "permission_denied"}, "upstream_unauthorized", "trips"),
        (401, {"type": "key_model_access_denied"}, "upstream_rejected_request", "passes"),
        (429, {"code": "insufficient_quota"}, "upstream_quota_exhausted", "trips"),
        (503, "gpt-1 is overloaded", "upstream_refused", "counts"),
    ],
)
def test_what_the_upstream_says_itself_still_counts(
    status: int, error: object, code: str, verdict: str
) -> None:
    refusal = from_http(status, error, "gpt-1")
    assert (refusal.code, judged(refusal)) == (code, verdict)


def test_a_denied_permission_in_band_is_not_a_refused_key_for_all() -> None:
    denied = {"code": "insufficient_permissions", "message": "No."}
    assert judged(in_band(denied, Close(4000), "gpt-1")) == "passes"
    assert judged(in_band({"code": "invalid_api_key"}, Close(4000), "gpt-1")) == "trips"


@given(st.text(max_size=60), st.sampled_from(TEXTS))
def test_any_name_may_be_asked_for(model: str, text: str) -> None:
    told = text.format(model=model)
    assert judged(in_band(told, Close(1008, told[:100]), model)) == "passes"
    assert judged(from_http(404, told, model)) == "passes"
