"""What an admission is asked."""

from __future__ import annotations

import pytest

from relay.admission.grant import Grant
from relay.admission.request import Request
from relay.http.head import Head

BEARER = ("authorization", "Bearer from-header")
SUBPROTOCOL = ("sec-websocket-protocol", "realtime, openai-insecure-api-key.from-subprotocol")


def request(*fields: tuple[str, str], target: str = "/v1/realtime") -> Request:
    return Request("req_1", "192.0.2.1", Head("GET", target, 1, fields))


@pytest.mark.parametrize(
    ("fields", "credential"),
    [
        ([], None),
        ([BEARER], "from-header"),
        ([("authorization", "bEaReR \t from-header ")], "from-header"),
        ([SUBPROTOCOL], "from-subprotocol"),
        ([SUBPROTOCOL, BEARER], "from-header"),
        ([BEARER, BEARER], None),
        ([BEARER, BEARER, SUBPROTOCOL], "from-subprotocol"),
        ([("authorization", "Basic eDp5")], None),
        ([("authorization", "Basic eDp5"), SUBPROTOCOL], "from-subprotocol"),
        ([("authorization", "Bearer")], None),
        ([("authorization", "Bearerfrom-header")], None),
        ([("x-api-key", "from-header")], None),
        ([("sec-websocket-protocol", "realtime")], None),
    ],
)
def test_a_credential_is_a_bearer_token_or_a_subprotocol(
    fields: list[tuple[str, str]], credential: str | None
) -> None:
    assert request(*fields).credential == credential


def test_a_request_tells_its_origin() -> None:
    assert request().origin is None
    assert request(("origin", "https://page.test")).origin == "https://page.test"


@pytest.mark.parametrize(
    ("target", "model"),
    [("/", None), ("/?model=a%20b", "a b"), ("/?intent=x", None), ("/?model=", "")],
)
def test_a_request_tells_its_model(target: str, model: str | None) -> None:
    assert request(target=target).model == model


def test_a_credential_does_not_show() -> None:
    assert "from-" not in repr(request(BEARER, SUBPROTOCOL))


def test_a_grant_may_name_a_subject() -> None:
    assert Grant().subject is None
    assert Grant("ann").subject == "ann"
