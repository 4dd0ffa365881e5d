"""Frames that nobody may send, and how each is answered."""

from __future__ import annotations

from typing import Any

from chaos.clients import BINARY, CLOSE, MORE, PING, TEXT, frame


def _fragments(masked: bool) -> bytes:
    """More of them than one message may have, of one byte each."""
    more = frame(MORE, b".", fin=False, masked=masked)
    return frame(TEXT, b".", fin=False, masked=masked) + more * 5000


def faults(masked: bool) -> dict[str, tuple[bytes, int]]:
    """What somebody may send, and the code that it is answered with."""

    def one(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
        return frame(opcode, payload, **{"masked": masked, **options})

    text = one(TEXT, b"text")
    return {
        "fragments": (_fragments(masked), 1009),
        "8 GiB declared": (one(BINARY, b"." * 1000, declared=2**33), 1009),
        "more than 63 bits": (one(BINARY, declared=2**63), 1002),
        "reserved bits": (bytes((text[0] | 0x40,)) + text[1:], 1002),
        "reserved opcode": (one(3), 1002),
        "wrongly masked": (one(TEXT, b"text", masked=not masked), 1002),
        "nothing to continue": (one(MORE, b"text"), 1002),
        "a message in a message": (one(TEXT, b"te", fin=False) + text, 1002),
        "long Ping": (one(PING, b"." * 126), 1002),
        "Ping in parts": (one(PING, fin=False), 1002),
        "half a close code": (one(CLOSE, b"\x03"), 1002),
        "impossible close code": (one(CLOSE, b"\x03\xed"), 1002),
        "reason is no UTF-8": (one(CLOSE, b"\x03\xe8\xff"), 1007),
    }


BY_CLIENT, BY_SERVER = faults(True), faults(False)
NAMES = tuple(BY_CLIENT)
