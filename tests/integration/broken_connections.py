"""Upstreams that connect badly, or answer with what is no HTTP answer."""

from __future__ import annotations

from integration.broken import Broken
from integration.loopback import HOLD
from integration.upstreams import (
    answers,
    ends,
    head,
    resets,
    sends,
    sends_on,
    switches,
)

_TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x46"

_dropped = ("upstream_connect_failed", 502, True)
_refused = ("upstream_refused", 502, False)
_late = ("upstream_timeout", 504, True)

BROKEN_CONNECTIONS = [
    # -- it ends the connection ------------------------------------------------------------
    Broken("accept, then FIN", (ends,), *_dropped, cue="connection"),
    Broken("accept, then reset", (resets,), *_dropped, cue="connection"),
    Broken("request, then FIN", (ends,), *_dropped),
    Broken("request, then reset", (resets,), *_dropped),
    Broken("half a head, then FIN", (sends(b"HTTP/1.1 101 Switch"), ends), *_dropped),
    Broken("half a head, then reset", (sends(b"HTTP/1.1 101 Switch"), resets), *_dropped),
    Broken("TLS bytes on a plain port", (sends(_TLS_ALERT), ends), *_dropped, cue="bytes"),
    Broken("HTTP/0.9", (sends(b"<html>hello</html>\r\n"), ends), *_dropped),
    Broken("100, then FIN", (sends(head(100)), ends), *_dropped),
    # -- it says nothing, or never enough --------------------------------------------------
    Broken("silence", (), *_late, seconds=HOLD),
    Broken("half a head, then silence", (sends(b"HTTP/1.1 101 "),), *_late, seconds=HOLD),
    Broken("100, then silence", (sends(head(100)),), *_late, seconds=HOLD),
    # -- what it says is no HTTP -----------------------------------------------------------
    Broken("garbage", (sends(bytes(range(256)) + b"\r\n\r\n"),), *_refused, cause="no HTTP"),
    Broken(
        "an endless header line",
        (sends_on(b"x" * 4096),),
        *_refused,
        cause="a head over 65536 bytes",
    ),
    Broken(
        "an endless head", (sends(b"HTTP/1.1 101 Yes\r\n"), sends_on(b"A: b\r\n" * 500)), *_refused
    ),
    Broken("a head of 1 MiB", (answers(400, "X-Long: " + "x" * 2**20),), *_refused),
    Broken("endless 1xx", (sends_on(head(102)),), *_late, seconds=HOLD),
    Broken("another protocol", (sends(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),), *_refused),
    Broken("HTTP/2", (sends(b"HTTP/2 101 Yes\r\n\r\n"),), *_refused),
    Broken("status 42", (sends(b"HTTP/1.1 42 Odd\r\n\r\n"),), *_refused),
    Broken("status 600", (sends(b"HTTP/1.1 600 Odd\r\n\r\n"),), *_refused),
    Broken(
        "a 101 that is not UTF-8",
        (switches(x_note="\xff\xfe"),),
        *_refused,
        cause="a 101 that is not UTF-8",
    ),
    Broken("a 400 that is not UTF-8", (answers(400, "X-Note: \xff\xfe"),), *_refused, seen=400),
]

REFUSED_PORT = Broken("TCP refused", (), *_dropped, stage="tcp")
NO_NAME = Broken("no such name", (), "upstream_dns_failed", 502, True, stage="dns")
"""What there is no connection to do anything on."""
