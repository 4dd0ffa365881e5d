"""The tokens that downstream may present."""

from __future__ import annotations

import pytest

from relay.admission.request import Grant, Request
from relay.admission.static import require_tokens
from relay.http.head import Head
from relay.rules.refusals import refuse


def asking(*fields: tuple[str, str]) -> Request:
    return Request("req_1", "192.0.2.1", Head("GET", "/v1/realtime", 1, fields))


@pytest.mark.parametrize("token", ["token-1", "token-2"])
def test_any_of_the_tokens_lets_a_request_in(token: str) -> None:
    admit = require_tokens(["token-1", "token-2"])
    assert admit(asking(("authorization", f"Bearer {token}"))) == Grant()
    subprotocol = ("sec-websocket-protocol", f"openai-insecure-api-key.{token}")
    assert admit(asking(subprotocol)) == Grant()


@pytest.mark.parametrize("token", ["", "token", "token-11", "TOKEN-1", "token-3", "t\xf6ken"])
def test_no_other_token_lets_a_request_in(token: str) -> None:
    admit = require_tokens(["token-1", "token-2"])
    assert admit(asking(("authorization", f"Bearer {token}"))) == refuse("unauthorized")


def test_a_request_without_a_token_is_unauthorized() -> None:
    assert require_tokens(["token-1"])(asking()) == refuse("unauthorized")


@pytest.mark.parametrize("tokens", [[], [""], ["good", ""]])
def test_an_empty_token_is_an_error(tokens: list[str]) -> None:
    with pytest.raises(ValueError, match="empty"):
        require_tokens(tokens)
