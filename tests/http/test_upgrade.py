"""What a request for the WebSocket must be, and what its refusal says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relay.http.head import Head, parse_head
from relay.http.upgrade import upgrade_refusal

KEY = "dGhlIHNhbXBsZSBub25jZQ=="

UPGRADE = (
    ("Host", "relay.test"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)

LINE = "GET /v1/realtime?model=m HTTP/1.1"

Fields = Sequence[tuple[str, str]]


def upgrade(*more: tuple[str, str], without: str = "", line: str = LINE) -> Head:
    """A good upgrade with something added, or the fields of one name taken away."""
    fields = [*(field for field in UPGRADE if field[0] != without), *more]
    lines = [line, *(f"{name}: {value}" for name, value in fields), "", ""]
    return parse_head("\r\n".join(lines).encode("latin-1"), 100)


def fault(head: Head) -> tuple[str, str] | None:
    refusal = upgrade_refusal(head)
    return None if refusal is None else (refusal.code, refusal.message)

    def test_a_good_upgrade_has_no_fault() -> None:
        assert upgrade_refusal(upgrade()) is None

    @pytest.mark.parametrize(
        "more",
        [
            ("Content-Length", "0"),
            ("Origin", "https://page.test"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
            ("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.K"),
            ("Sec-WebSocket-Protocol", ""),
            ("Cookie", "a=b"),
        ],
    )
    def test_fields_that_clients_add_to_an_upgrade_are_no_fault(more: tuple[str, str]) -> None:
        assert upgrade_refusal(upgrade(more)) is None

    @pytest.mark.parametrize("method", ["POST", "HEAD", "get", "BREW"])
    def test_an_upgrade_by_another_method_is_refused(method: str) -> None:
        head = upgrade(line=f"{method} /v1/realtime HTTP/1.1")
        assert fault(head) == ("method_not_allowed", "Open a WebSocket here with GET.")

    def test_a_request_without_upgrade_is_refused() -> None:
        assert fault(upgrade(without="Upgrade")) == (
            "upgrade_required",
            "Open a WebSocket here, version 13.",
        )

    @pytest.mark.parametrize("versions", [[], ["8"], ["13", "13"], ["13, 8"], ["013"], [""]])
    def test_another_websocket_version_is_refused(versions: list[str]) -> None:
        fields = [("Sec-WebSocket-Version", version) for version in versions]
        head = upgrade(*fields, without="Sec-WebSocket-Version")
        assert fault(head) == ("upgrade_required", "Use WebSocket version 13.")

    def test_an_upgrade_by_http_1_0_is_refused() -> None:
        head = upgrade(line="GET /v1/realtime HTTP/1.0")
        assert fault(head) == ("bad_request", "Use HTTP/1.1.")

    @pytest.mark.parametrize(
        "options", [[], [("Connection", "close")], [("Connection", "upgraded")]]
    )
    def test_an_upgrade_that_connection_does_not_name_is_refused(options: Fields) -> None:
        head = upgrade(*options, without="Connection")
        assert fault(head) == ("bad_request", "Send Connection: Upgrade.")

    @pytest.mark.parametrize(
        "keys",
        [
            [],
            [KEY, KEY],
            [""],
            ["c2hvcnQ="],
            [KEY + "AAAA"],
            [KEY[:-1]],
            ["!" + KEY],
            [KEY[:10] + " " + KEY[10:]],
        ],
    )
    def test_an_upgrade_without_exactly_one_valid_key_is_refused(keys: list[str]) -> None:
        head = upgrade(*(("Sec-WebSocket-Key", key) for key in keys), without="Sec-WebSocket-Key")
        assert fault(head) == ("bad_request", "Send one valid Sec-WebSocket-Key.")

    @pytest.mark.parametrize(
        "fields",
        [
            [("Content-Length", "1")],
            [("Content-Length", "0"), ("Content-Length", "0")],
            [("Content-Length", "x")],
            [("Transfer-Encoding", "chunked")],
        ],
    )
    def test_an_upgrade_with_a_body_is_refused(fields: Fields) -> None:
        assert fault(upgrade(*fields)) == ("bad_request", "Send no body with an upgrade.")

    def test_an_upgrade_with_two_origins_is_refused() -> None:
        origin = ("Origin", "https://page.test")
        assert fault(upgrade(origin, origin)) == ("bad_request", "Send one Origin at most.")

    @pytest.mark.parametrize(
        "more", [(), (("Sec-WebSocket-Protocol", "openai-insecure-api-key.token"),)]
    )
    def test_an_upgrade_with_two_authorizations_is_always_refused(more: Fields) -> None:
        authorization = ("Authorization", "Bearer token")
        said = "Send one Authorization at most."
        assert fault(upgrade(authorization, authorization, *more)) == ("bad_request", said)

    def test_an_upgrade_with_two_extension_fields_is_refused() -> None:
        extension = ("Sec-WebSocket-Extensions", "x")
        said = "Send one Sec-WebSocket-Extensions."
        assert fault(upgrade(extension, extension)) == ("bad_request", said)

    def test_an_upgrade_with_a_fragment_is_refused() -> None:
        head = upgrade(line="GET /v1/realtime?model=m#x HTTP/1.1")
        assert fault(head) == ("bad_request", "Send no fragment.")

    @pytest.mark.parametrize("offers", [["a,a"], ["a", "b,a"], ["a b"], ["a;q=1"], ['"a"']])
    def test_invalid_or_repeated_subprotocols_are_refused(offers: list[str]) -> None:
        head = upgrade(*(("Sec-WebSocket-Protocol", offer) for offer in offers))
        assert fault(head) == ("bad_request", "Send each subprotocol once, as a token.")
