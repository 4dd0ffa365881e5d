"""What is wrong with a 101, each fault in its own words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.http.switching import fault_of

FIELDS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": "x",
}
OFFERED = ["realtime", "other"]


def switching(
    *more: str, without: str = "", version: str = "HTTP/1.1", rest: bytes = b"", **changed: str
) -> bytes:
    fields = FIELDS | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if name != without]
    return "\r\n".join([f"{version} 101 Yes", *lines, *more, "", ""]).encode() + rest


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (switching(version="HTTP/1.0"), "of HTTP/1.0"),
        (switching(without="Upgrade"), "without Upgrade: websocket"),
        (switching(Upgrade="h2c"), "without Upgrade: websocket"),
        (switching(without="Connection"), "without Connection: Upgrade"),
        (switching(Connection="close"), "without Connection: Upgrade"),
        (switching(without="Sec-WebSocket-Accept"), "without Sec-WebSocket-Accept"),
        (switching("sec-websocket-accept: x"), "with more than one Sec-WebSocket-Accept"),
        (
            switching(Sec_WebSocket_Extensions="permessage-deflate; a=1"),
            "with an extension that was not offered: permessage-deflate; a=1",
        ),
        (
            switching(Sec_WebSocket_Protocol="third"),
            "with a subprotocol that was not offered: third",
        ),
        (
            switching("Sec-WebSocket-Protocol: other", Sec_WebSocket_Protocol="other"),
            "with more than one Sec-WebSocket-Protocol",
        ),
    ],
)
def test_each_fault_is_told_in_its_own_words(head: bytes, fault: str) -> None:
    assert fault_of(head, OFFERED) == f"a 101 {fault}"


@pytest.mark.parametrize(
    "head",
    [
        switching(),
        switching(Upgrade="WebSocket", Connection="keep-alive, UPGRADE"),
        switching("connection: upgrade", Connection="keep-alive"),
        switching(Sec_WebSocket_Protocol="realtime"),
        switching(Sec_WebSocket_Protocol=""),
        switching(Sec_WebSocket_Extensions=""),
        switching("odd line", rest=b"\x81\xff\xff"),
    ],
)
def test_a_proper_101_has_no_fault(head: bytes) -> None:
    assert fault_of(head, OFFERED) is None


def test_without_an_offer_no_subprotocol_may_be_selected() -> None:
    fault = fault_of(switching(Sec_WebSocket_Protocol="realtime"), [])
    assert fault == "a 101 with a subprotocol that was not offered: realtime"


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_any_head_has_a_fault_or_none(lines: list[str]) -> None:
    assert isinstance(fault_of(switching(*lines), OFFERED), str | None)
