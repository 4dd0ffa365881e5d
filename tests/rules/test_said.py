"""What errors say, in every shape that they are written in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.said import MAX_LINE, NOTHING, Said, error_in, error_in_body, error_in_text

FIELDS = [
    *("type", "error", "errors", "code", "message", "detail", "status", "title", "loc", "msg"),
    *("reason", "details", "request_id", "upstream", "retryable"),
]
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(["relay_error", "error", "404", "a: b", '{"error":"x"}']),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
    ),
    max_leaves=12,
)

SHAPES = {
    "OpenAI's": (
        {"error": {"type": "t", "code": "c", "message": "m", "param": None}},
        Said(("c", "t"), "m"),
    ),
    "without a code": ({"error": {"type": "t", "code": None, "message": "m"}}, Said(("t",), "m")),
    "a text": ({"error": "No such voice."}, Said((), "No such voice.")),
    "a word": ({"error": "not_found"}, Said(("not_found",))),
    "xAI's": ({"code": "c", "error": "No such voice."}, Said(("c",), "No such voice.")),
    "flat": ({"message": "m", "code": "c"}, Said(("c",), "m")),
    "FastAPI's": ({"detail": "Not Found"}, Said((), "Not Found")),
    "FastAPI's list": (
        {
            "detail": [
                {"loc": ["query", "model"], "msg": "Field required", "type": "missing"},
                {"loc": ["query", 1], "msg": "Too long", "type": "too_long"},
            ]
        },
        Said(("missing", "too_long"), "query.model: Field required; query.1: Too long"),
    ),
    "FastAPI's, with a table": ({"detail": {"code": "c", "message": "m"}}, Said(("c",), "m")),
    "a problem": (
        {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "No such voice."},
        Said((), "No such voice.", 404),
    ),
    "a problem with a type": (
        {"type": "https://example.com/probs/out-of-credit", "title": "Empty."},
        Said(("https://example.com/probs/out-of-credit",), "Empty."),
    ),
    "a list": ({"errors": [{"code": "c", "message": "m"}, {"message": "n"}]}, Said(("c",), "m; n")),
    "a list of texts": ({"errors": ["m", "n"]}, Said((), "m; n")),
    "a bare list": ([{"error": {"code": "c", "message": "m"}}], Said(("c",), "m")),
    "nested": ({"error": {"error": {"code": "c", "message": "m"}}}, Said(("c",), "m")),
    "nested, with a type outside": (
        {"type": "t", "error": {"code": "c", "message": "m"}},
        Said(("c", "t"), "m"),
    ),
    "a numeric code": ({"error": {"code": 404, "message": "m"}}, Said((), "m", 404)),
    "a numeric code as text": ({"error": {"code": "404", "message": "m"}}, Said((), "m", 404)),
    "Google's": (
        {
            "error": {
                "code": 400,
                "message": "m",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "x", "reason": "API_KEY_INVALID"}],
            }
        },
        Said(("API_KEY_INVALID", "INVALID_ARGUMENT"), "m", 400),
    ),
    "vLLM's": (
        {"object": "error", "message": "m", "type": "NotFoundError", "code": 404},
        Said(("NotFoundError",), "m", 404),
    ),
    "NestJS's": (
        {"statusCode": 400, "message": ["m", "n"], "error": "Bad Request"},
        Said((), "m; n", 400),
    ),
    "OAuth's": (
        {"error": "invalid_token", "error_description": "It expired."},
        Said(("invalid_token",), "It expired."),
    ),
    "JSON in the text": (
        {"error": {"type": "t", "message": '{"error":{"code":"c","message":"m"}}'}},
        Said(("t", "c"), "m"),
    ),
    "a text that begins with a code": ({"error": "c: some text"}, Said(("c",), "c: some text")),
    "a status of 200": ({"status": 200, "message": "m"}, Said((), "m")),
    "a code that is no status": ({"error": {"code": 7, "message": "m"}}, Said((), "m")),
    "true for a code": ({"error": {"code": True, "message": "m"}}, Said((), "m")),
    "nothing": ({}, NOTHING),
    "null": (None, NOTHING),
    "a number": (404, NOTHING),
    "an error of null": ({"error": None}, NOTHING),
}


@pytest.mark.parametrize(("value", "said"), SHAPES.values(), ids=SHAPES)
def test_each_shape_is_read(value: object, said: Said) -> None:
    assert error_in(value) == said
    assert error_in_body(json.dumps(value).encode()) == said


def test_the_type_of_an_error_event_is_no_code() -> None:
    event = {"type": "error", "event_id": "e", "error": {"code": "c", "message": "m"}}
    assert error_in(event) == Said(("c",), "m")
    assert error_in({"type": "error", "message": "m", "code": "c"}) == Said(("c",), "m")


def test_a_request_id_is_read() -> None:
    assert error_in({"error": {"message": "m"}, "request_id": "req_1"}).request_id == "req_1"


def test_a_relays_refusal_is_kept_whole() -> None:
    refusal = {"type": "relay_error", "code": "draining", "message": "Wait.", "request_id": "req_1"}
    said = Said(("draining",), "Wait.", request_id="req_1", relayed=refusal)
    assert error_in({"error": refusal}) == said
    assert error_in({"type": "error", "event_id": "e", "error": refusal}) == said


@pytest.mark.parametrize("body", [b"no such voice", b" no such voice\r\n", '"no such voice"'])
def test_one_short_line_of_text_is_read(body: bytes | str) -> None:
    payload = body.encode() if isinstance(body, str) else body
    assert error_in_body(payload) == Said((), "no such voice")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no such voice</html>",
        b"  <!doctype html>",
        b"two\nlines",
        b"x" * (MAX_LINE + 1),
        b"\xff\xfe",
        b"a\x00b",
        b'{"error":',
        b"[" * 100,
    ],
)
def test_a_page_or_nonsense_says_nothing(body: bytes) -> None:
    assert error_in_body(body) == NOTHING


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", NOTHING),
        ("a_type.a_code", Said(("a_code", "a_type"), "a_type.a_code")),
        ("server_error", Said(("server_error",), "server_error")),
        ("server_error: 400: no", Said(("server_error",), "server_error: 400: no")),
        ("No such voice.", Said((), "No such voice.")),
        ('{"code":"c","message":"m"}', Said(("c",), "m")),
        ("{no json", Said((), "{no json")),
    ],
)
def test_a_text_is_read(text: str, said: Said) -> None:
    assert error_in_text(text) == said


def test_a_long_word_is_a_text() -> None:
    said = error_in({"error": "x" * 500})
    assert said == Said((), "x" * 500)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (NOTHING, ""),
        (Said(("c", "t"), "m"), "c: m"),
        (Said(("c",)), "c"),
        (Said((), "m"), "m"),
        (Said(("c",), "c: m"), "c: m"),
        (Said(("c",), "t.c"), "t.c"),
    ],
)
def test_an_error_is_shown_by_its_code_and_text(said: Said, shown: str) -> None:
    assert str(said) == shown


@given(JSON_VALUES)
def test_any_value_says_something_or_nothing(value: object) -> None:
    said = error_in(value)
    assert all(isinstance(code, str) and code for code in said.codes)
    assert isinstance(said.message, str)
    assert said.status is None or 400 <= said.status < 600
    assert isinstance(str(said), str)


@given(st.binary(max_size=100))
def test_any_body_says_something_or_nothing(body: bytes) -> None:
    assert isinstance(str(error_in_body(body)), str)
