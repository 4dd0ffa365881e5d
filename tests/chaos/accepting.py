"""What an upstream by hand says to an upgrade."""

from __future__ import annotations

import re

from websockets.utils import accept_key


def accepting(head: bytes) -> bytes:
    """The 101 that this request is answered with (RFC 6455, 4.2.2)."""
    key = head.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n", 1)[0]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key.decode()).encode()
    )


def number_of(path: bytes) -> int:
    """Of the session, as its client said it by C{intent}."""
    found = re.search(rb"intent=(\d+)", path)
    assert found is not None, path
    return int(found[1])
