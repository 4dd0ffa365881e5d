"""Upstreams that answer the upgrade by HTTP, with anything but a proper 101."""

from __future__ import annotations

from typing import Any

from integration.broken import Broken
from integration.upstreams import answers, ends, error, head, sends, switches

ANSWER = 1.0
"""How long the relay waits for the rest of an answer."""

_INVALID_MODEL = error("invalid_model", "no such voice")
_CHUNKED = head(400, "Transfer-Encoding: chunked") + (
    b"%x;note=1\r\n%b\r\n5\r\n     \r\n0\r\n\r\n" % (len(_INVALID_MODEL), _INVALID_MODEL)
)

Meaning = tuple[str, int, bool]
"""Code, status and whether it may be tried again."""

_refused = ("upstream_refused", 502, False)
_failing = ("upstream_refused", 502, True)
_unauthorized = ("upstream_unauthorized", 502, False)
_rejected = ("upstream_rejected_request", 400, False)
_unknown = ("upstream_rejected_request", 404, False)
_limited = ("upstream_rate_limited", 503, True)
_exhausted = ("upstream_quota_exhausted", 502, False)


def _plain(status: int, *fields: str) -> Broken:
    """A bare answer that is refused for good."""
    return Broken(f"{status}", (answers(status, *fields),), *_refused, seen=status)


def _retried(status: int, *fields: str, retry_after: str | None = None) -> Broken:
    """A bare answer after which it may be tried again."""
    does = (answers(status, *fields),)
    return Broken(f"{status}", does, *_failing, seen=status, retry_after=retry_after)


def _coded(status: int, code: str, meaning: Meaning, **expected: str) -> Broken:
    """An answer whose body has an error code."""
    does = (answers(status, body=error(code)),)
    more: dict[str, Any] = expected
    return Broken(f"{status} {code}", does, *meaning, seen=status, **more)


def _limiting(name: str, *fields: str, retry_after: str) -> Broken:
    does = (answers(429, *fields),)
    seconds = 1.0 if retry_after == "1" else 0.0  # it is tried again after that
    rest: dict[str, Any] = {"seen": 429, "retry_after": retry_after, "seconds": seconds}
    return Broken(f"429 {name}", does, *_limited, **rest)


def _faulty(says: str, **changed: str) -> Broken:
    """A 101 that opens no WebSocket that was asked for."""
    name = ", ".join(("101", *map(" ".join, changed.items())))
    says = f"not a WebSocket handshake: a 101 {says}"
    return Broken(name, (switches(**changed),), *_refused, says=says)


BROKEN_ANSWERS = [
    # -- by status -------------------------------------------------------------------------
    *(_plain(status) for status in (200, 400, 404, 418, 426)),
    Broken("204", (sends(head(204)),), *_refused, seen=204),
    _plain(301, "Location: /elsewhere"),
    _plain(302, "Location: /elsewhere"),
    *(_retried(status) for status in (408, 500, 502, 504, 599)),
    _retried(503, "Retry-After: 30", retry_after="30"),
    Broken("401", (answers(401),), *_unauthorized, seen=401),
    Broken("403", (answers(403),), *_refused, seen=403, says="403 and gave no reason"),
    _limiting("bare", retry_after="5"),
    _limiting("with Retry-After", "Retry-After: 7", retry_after="7"),
    _limiting("with a huge Retry-After", "Retry-After: 99999999999", retry_after="60"),
    _limiting("with a Retry-After of 0", "Retry-After: 0", retry_after="1"),
    _limiting("with a date", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", retry_after="5"),
    # -- by the code in its body -----------------------------------------------------------
    _coded(400, "invalid_model", _rejected, says="(invalid_model): said upstream"),
    _coded(400, "model_not_found", _unknown),
    _coded(404, "model_not_found", _unknown, says="(model_not_found): said upstream"),
    _coded(403, "model_not_found", _unknown),
    _coded(400, "invalid_api_key", _unauthorized),
    _coded(429, "insufficient_quota", _exhausted),
    _coded(403, "billing_not_active", _exhausted),
    _coded(400, "rate_limit_exceeded", _limited, retry_after="5"),
    _coded(400, "something_new", _refused, says="HTTP 400 (something_new: said upstream)."),
    # -- bodies ----------------------------------------------------------------------------
    Broken("chunked", (sends(_CHUNKED),), *_rejected, seen=400, says="no such voice"),
    Broken(
        "a body ended by FIN",
        (sends(head(400) + _INVALID_MODEL), ends),
        *_rejected,
        seen=400,
        says="no such voice",
    ),
    Broken(
        "a body of unknown length, left open",
        (sends(head(400) + _INVALID_MODEL),),
        *_rejected,
        seen=400,
        seconds=ANSWER,
    ),
    Broken(
        "a body that never arrives",
        (sends(head(500, "Content-Length: 100")),),
        *_failing,
        seen=500,
        seconds=ANSWER,
    ),
    Broken("a body over the cap", (answers(500, body=b"x" * 2**20),), *_failing, seen=500),
    Broken("not JSON", (answers(400, body=b"<html>"),), *_refused, seen=400),
    Broken("deep JSON", (answers(400, body=b"[" * 60_000),), *_refused, seen=400),
    Broken("no object", (answers(400, body=b'{"error":"no"}'),), *_refused, seen=400),
    # -- more than one answer --------------------------------------------------------------
    Broken("100, then 500", (sends(head(100)), answers(500)), *_failing, seen=500),
    Broken("103, then 404", (sends(head(103, "Link: </x>")), answers(404)), *_refused, seen=404),
    # -- a 101 that is none ----------------------------------------------------------------
    _faulty("with a wrong Sec-WebSocket-Accept", sec_websocket_accept="bm9uc2Vuc2U="),
    _faulty("without Sec-WebSocket-Accept", without="sec_websocket_accept"),
    _faulty("without Upgrade: websocket", without="upgrade"),
    _faulty("without Upgrade: websocket", upgrade="h2c"),
    _faulty("without Connection: Upgrade", without="connection"),
    _faulty("without Connection: Upgrade", connection="close"),
    _faulty("with a subprotocol that was not offered: other", sec_websocket_protocol="other"),
    _faulty("with an extension that was not offered: x-odd", sec_websocket_extensions="x-odd"),
    _faulty(
        "with an extension that was not offered: permessage-deflate",
        sec_websocket_extensions="permessage-deflate",
    ),
    Broken(
        "a 101 of HTTP/1.0",
        (sends(b"HTTP/1.0 101 Yes\r\n\r\n"),),
        *_refused,
        says="a 101 of HTTP/1.0",
    ),
]
