"""
What comes to a listener that is not HTTP/1.1, told by its first bytes.

Without this, a client that waits for an answer in its own protocol would wait until the head's
deadline, and the log would tell of a slow head.
"""

from __future__ import annotations

import re

SPEAKS_TLS = (
    "a client speaks TLS to this listener, which has none: use ws:// or give the listener a"
    " certificate"
)

LONGEST = 16
"""Bytes at the beginning that tell the protocols apart."""

_PREFACE = b"PRI * HTTP/2.0"
_PROXY_2 = b"\r\n\r\n\x00\r\nQUIT\n"
_PROXY_1 = re.compile(rb"PROXY (?:TCP[46]|UNKNOWN)")
_BEGINS_HTTP = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z\r\n-]")

PROXY_PROTOCOL = (
    "This listener does not take the PROXY protocol; switch it off in the balancer or proxy on the"
    " way."
)


def is_tls(first: bytes) -> bool:
    """Whether these are the first bytes of a TLS handshake (RFC 8446, 5.1)."""
    return first.startswith(b"\x16\x03")


def is_undecided(first: bytes) -> bool:
    """Whether these may be the first bytes of a signature that looks like an empty head so far."""
    return len(first) < len(_PROXY_2) and _PROXY_2.startswith(first)


def foreign(first: bytes) -> str | None:
    """
    Why these first bytes are no HTTP/1.1, in words; L{None} if they may be.

    @param first: those of the first L{LONGEST} bytes that have come.
    """
    if is_tls(first):
        return SPEAKS_TLS
    if first.startswith(_PREFACE):
        return "This listener speaks HTTP/1.1; do not use HTTP/2 with it."
    if first.startswith(_PROXY_2) or _PROXY_1.match(first):
        return PROXY_PROTOCOL
    if first in (b"", b"\x16") or _BEGINS_HTTP.match(first):
        return None
    return "What came is no HTTP."
