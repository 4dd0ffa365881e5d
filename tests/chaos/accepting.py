"""What an upstream by hand says to an upgrade."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accepting(head: bytes) -> bytes:
    """The 101 that this request is answered with (RFC 6455, 4.2.2)."""
    key = head.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n", 1)[0]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % b64encode(sha1(key + _GUID).digest())
    )


def number_of(path: bytes) -> int:
    """Of the session, as its client said it by C{intent}."""
    found = re.search(rb"intent=(\d+)", path)
    assert found is not None, path
    return int(found[1])
