"""Requests as bytes, right but for what a test changes."""

from __future__ import annotations

FIELDS = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
LINE = "GET /v1/realtime?model=gpt-realtime HTTP/1.1"


def request(line: str, *fields: str) -> bytes:
    """A request head of these lines; latin-1, so that any byte can be in it."""
    return "\r\n".join((line, *fields)).encode("latin-1") + b"\r\n\r\n"


def upgrade(*added: str, line: str = LINE, without: str = "", **changed: str) -> bytes:
    """
    A request for the WebSocket.

    @param added: further header lines, as they are.
    @param without: the header that is left out.
    @param changed: headers by name, C{_} for C{-}.
    """
    fields = {name: value for name, value in FIELDS.items() if name != without}
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    return request(line, *(f"{name}: {value}" for name, value in fields.items()), *added)
