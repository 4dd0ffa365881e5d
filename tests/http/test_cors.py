"""What a browser is told of what a page may read and send."""

from __future__ import annotations

import pytest

from relay.http.cors import cors_headers, is_preflight
from relay.http.head import Head, parse_head

PAGE = "Origin: https://app.test"


def head(*fields: str, method: str = "OPTIONS") -> Head:
    lines = [f"{method} /v1/models HTTP/1.1", "Host: localhost", *fields, "", ""]
    return parse_head("\r\n".join(lines).encode("latin-1"), 20)


def asking(*fields: str) -> dict[str, str]:
    """The answer to a preflight."""
    return dict(cors_headers(head(PAGE, *fields)))


METHOD = "Access-Control-Request-Method: POST"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_an_answer_to_a_page_names_its_origin_and_what_it_may_read(method: str) -> None:
    told = dict(cors_headers(head(PAGE, method=method)))
    assert told == {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": "https://app.test",
        "Access-Control-Expose-Headers": "Location, Retry-After, X-Request-Id, X-Should-Retry",
    }


@pytest.mark.parametrize("fields", [(), (PAGE, PAGE)])
def test_without_one_origin_an_answer_only_varies_by_it(fields: tuple[str, ...]) -> None:
    assert cors_headers(head(*fields, METHOD)) == (("Vary", "Origin"),)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_a_preflight_is_told_the_method_that_it_asks_for(method: str) -> None:
    told = asking(f"Access-Control-Request-Method: {method}")
    assert told["Access-Control-Allow-Methods"] == method
    assert "Access-Control-Allow-Headers" not in told


@pytest.mark.parametrize(
    "asked",
    ["authorization", "authorization, x-openai-agents-sdk", "x-stainless-os,x-stainless-lang,a"],
)
def test_a_preflight_is_told_the_headers_that_it_asks_for(asked: str) -> None:
    told = asking(METHOD, f"Access-Control-Request-Headers: {asked}")
    assert told["Access-Control-Allow-Headers"].split(", ") == asked.replace(" ", "").split(",")


@pytest.mark.parametrize("asked", ["a b", "x: y", "\xe9", '"quoted"', ""])
def test_what_is_no_name_of_a_header_is_not_repeated(asked: str) -> None:
    told = asking(METHOD, f"Access-Control-Request-Headers: good, {asked}")
    assert told["Access-Control-Allow-Headers"] == "good"


@pytest.mark.parametrize(("asked", "told"), [("true", "true"), ("false", None), (None, None)])
def test_a_page_of_a_public_address_may_ask_a_private_one(
    asked: str | None, told: str | None
) -> None:
    fields = () if asked is None else (f"Access-Control-Request-Private-Network: {asked}",)
    answer = asking(METHOD, *fields)
    assert answer.get("Access-Control-Allow-Private-Network") == told


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("OPTIONS", (PAGE, METHOD), True),
        ("OPTIONS", (PAGE,), False),
        ("OPTIONS", (METHOD,), False),
        ("POST", (PAGE, METHOD), False),
    ],
)
def test_a_preflight_is_options_with_an_origin_and_a_method(
    method: str, fields: tuple[str, ...], expected: bool
) -> None:
    assert is_preflight(head(*fields, method=method)) is expected
