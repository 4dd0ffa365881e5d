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
    said = "Open a WebSocket here, version 13."
    assert fault(Head("GET", "/", 1, ())) == ("upgrade_required", said)
    assert fault(Head("GET", "/", 1, (("upgrade", "h2c"),))) == ("upgrade_required", said)


@pytest.mark.parametrize("versions", [[], ["8"], ["13", "13"], ["13, 8"], ["013"], [""]])
def test_another_websocket_version_is_refused(versions: list[str]) -> None:
    fields = [("Sec-WebSocket-Version", version) for version in versions]
    head = upgrade(*fields, without="Sec-WebSocket-Version")
    assert fault(head) == ("upgrade_required", "Use WebSocket version 13.")


def test_an_upgrade_by_http_1_0_is_refused() -> None:
    code, said = fault(upgrade(line="GET /v1/realtime HTTP/1.0")) or ("", "")
    assert code == "bad_request"
    assert said.startswith("A proxy on the way (HTTP/1.0) speaks HTTP/1.0 to the relay; ")


@pytest.mark.parametrize("options", [[], [("Connection", "close")], [("Connection", "upgraded")]])
def test_an_upgrade_that_connection_does_not_name_is_refused(options: Fields) -> None:
    head = upgrade(*options, without="Connection")
    code, said = fault(head) or ("", "")
    assert code == "bad_request"
    assert said.startswith("Send Connection: Upgrade. Most likely a proxy on the way removed")


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


def test_an_upgrade_with_a_fragment_is_refused() -> None:
    head = upgrade(line="GET /v1/realtime?model=m#x HTTP/1.1")
    assert fault(head) == ("bad_request", "Send no fragment.")


@pytest.mark.parametrize("offers", [["a,a"], ["a", "b,a"], ["a b"], ["a;q=1"], ['"a"']])
def test_invalid_or_repeated_subprotocols_are_refused(offers: list[str]) -> None:
    head = upgrade(*(("Sec-WebSocket-Protocol", offer) for offer in offers))
    assert fault(head) == ("bad_request", "Send each subprotocol once, as a token.")


LISTS = [
    [("Sec-WebSocket-Extensions", "permessage-deflate"), ("Sec-WebSocket-Extensions", "x; a=b")],
    [("Sec-WebSocket-Protocol", "realtime"), ("Sec-WebSocket-Protocol", "relay.refusals.event, a")],
    [("Connection", "keep-alive"), ("Connection", "close, Upgrade")],
    [("Connection", ""), ("connection", "x")],
    [("Upgrade", "h2c"), ("Upgrade", "WebSocket")],
    [("Upgrade", "h2c, "), ("Sec-WebSocket-Protocol", ","), ("Sec-WebSocket-Protocol", "a")],
    [("Accept-Language", "de"), ("Accept-Language", "en"), ("Via", "1.1 a"), ("Via", "1.1 b")],
]


@pytest.mark.parametrize("fields", LISTS)
def test_a_list_may_come_in_several_fields(fields: Fields) -> None:
    head = upgrade(*fields)
    assert upgrade_refusal(head) is None
    assert head.for_autobahn().count(b"sec-websocket-protocol") <= 1


@pytest.mark.parametrize(
    "name", ["Sec-WebSocket-Version", "Sec-WebSocket-Key", "Origin", "Authorization"]
)
def test_what_is_no_list_may_not_come_twice(name: str) -> None:
    value = dict(UPGRADE).get(name, "https://a.test")
    without = name if name in dict(UPGRADE) else ""
    fields = [(name, value), (name, value)]
    assert upgrade_refusal(upgrade(*fields[:1], without=without)) is None
    assert upgrade_refusal(upgrade(*fields, without=without)) is not None


# -- proxies -------------------------------------------------------------------------------

SHOWN = [
    ("Via", "1.1 nginx", "Via: 1.1 nginx"),
    ("Via", "x" * 100, f"Via: {'x' * 60}"),
    ("X-Forwarded-For", "192.0.2.1", "X-Forwarded-For"),
    ("x-forwarded-proto", "https", "X-Forwarded-Proto"),
    ("Forwarded", "for=192.0.2.1", "Forwarded"),
    ("X-Real-IP", "192.0.2.1", "X-Real-Ip"),
    ("CF-Ray", "8f", "Cf-Ray"),
    ("X-Amzn-Trace-Id", "Root=1", "X-Amzn-Trace-Id"),
    ("X-Envoy-External-Address", "192.0.2.1", "X-Envoy-External-Address"),
]
LOST = [
    ("Upgrade", "upgrade_required", "removed the Upgrade header"),
    ("Connection", "bad_request", "removed Upgrade from the Connection header"),
    ("Sec-WebSocket-Key", "bad_request", "removed the Sec-WebSocket-Key header"),
    ("Sec-WebSocket-Version", "upgrade_required", "removed the Sec-WebSocket-Version header"),
]
NGINX = ("proxy_http_version 1.1", "proxy_set_header Upgrade $http_upgrade")


@pytest.mark.parametrize(("lost", "code", "did"), LOST)
@pytest.mark.parametrize(("name", "value", "trace"), SHOWN)
def test_a_proxy_that_shows_itself_is_named_with_what_it_removed(
    name: str, value: str, trace: str, lost: str, code: str, did: str
) -> None:
    told, said = fault(upgrade((name, value), without=lost)) or ("", "")
    assert told == code
    assert said.startswith(f"A proxy on the way ({trace}) {did}; ")
    assert all(line in said for line in NGINX)


@pytest.mark.parametrize("lost", ["Upgrade", "Connection"])
def test_a_hops_header_that_is_not_there_was_most_likely_removed(lost: str) -> None:
    _, said = fault(upgrade(without=lost)) or ("", "")
    assert "Most likely a proxy on the way removed" in said


@pytest.mark.parametrize("lost", ["Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_what_no_proxy_removes_by_itself_is_blamed_on_none_that_is_not_seen(lost: str) -> None:
    _, said = fault(upgrade(without=lost)) or ("", "")
    assert "proxy" not in said


@pytest.mark.parametrize("lost", ["Upgrade", ""])
def test_http_1_0_shows_a_proxy(lost: str) -> None:
    _, said = fault(upgrade(without=lost, line="GET /v1/realtime HTTP/1.0")) or ("", "")
    assert said.startswith("A proxy on the way (HTTP/1.0) ")
    assert all(line in said for line in NGINX)


def test_a_plain_request_by_a_proxy_is_told_of_it_as_a_possibility() -> None:
    head = Head("GET", "/v1/realtime", 1, (("via", "1.1 nginx"),))
    _, said = fault(head) or ("", "")
    assert said.startswith("Open a WebSocket here, version 13. If a WebSocket was asked for, ")
    assert "(Via: 1.1 nginx) removed the Upgrade header" in said


def test_a_good_upgrade_by_a_proxy_has_no_fault() -> None:
    assert upgrade_refusal(upgrade(("Via", "1.1 nginx"), ("X-Forwarded-For", "192.0.2.1"))) is None
