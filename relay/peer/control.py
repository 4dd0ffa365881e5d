"""
Pongs, as bytes.

Source: RFC 6455, 5.3 and 5.5.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_WAITING = 128
"""
Control frames that wait for a peer at most. Of more Pongs only the last are sent: the peer needs no
more than the last one (RFC 6455, 5.5.3).
"""


def xor(mask: bytes, data: bytes) -> bytes:
    """C{data} with the four bytes of C{mask} put on or taken off."""
    stream = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def pongs(payloads: Sequence[bytes], masks: bytes = b"") -> list[bytes]:
    """
    The answers to Pings.

    @param payloads: of the Pings, at most 125 bytes each.
    @param masks: four bytes for each answer, if they are a client's.
    """
    if not masks:
        return [bytes((0x8A, len(payload))) + payload for payload in payloads]
    return [
        bytes((0x8A, 0x80 | len(payload)))
        + (mask := masks[at : at + 4])
        + (payload and xor(mask, payload))
        for at, payload in zip(range(0, len(masks), 4), payloads, strict=True)
    ]
