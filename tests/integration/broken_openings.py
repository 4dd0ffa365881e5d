"""Upstreams that open their WebSocket, and then refuse, break or leave it."""

from __future__ import annotations

from integration.broken import Broken
from integration.loopback import HOLD
from integration.upstreams import (
    Step,
    closes,
    ends,
    error_event,
    frame,
    pings,
    resets,
    switches,
    text,
)
from websockets.frames import Opcode

CLOSE = 0.25
"""How long the relay waits for the Close behind an C{error}."""

_KEY, _MODEL, _RETIRED = "invalid_api_key", "invalid_model", "model_not_found"
_PREFIX = "invalid_request_error."

_dropped = ("upstream_connect_failed", 502, True)
_refused = ("upstream_refused", 502, False)
_failing = ("upstream_refused", 502, True)
_unauthorized = ("upstream_unauthorized", 502, False)
_rejected = ("upstream_rejected_request", 400, False)
_unknown = ("upstream_rejected_request", 404, False)
_exhausted = ("upstream_quota_exhausted", 502, False)
_limited = ("upstream_rate_limited", 503, True)
_late = ("upstream_timeout", 504, True)


def _opening(
    name: str,
    does: Step | tuple[Step, ...],
    meaning: tuple[str, int, bool],
    *,
    says: str = "",
    seconds: float = 0.0,
) -> Broken:
    steps = does if isinstance(does, tuple) else (does,)
    retry_after = "5" if meaning is _limited else None
    return Broken(
        name,
        steps,
        *meaning,
        stage="first_event",
        says=says,
        seconds=seconds,
        retry_after=retry_after,
    )


def _closing(code: int, meaning: tuple[str, int, bool], reason: str = "") -> Broken:
    """A Close as the first thing."""
    return _opening(f"101, Close {code} {reason}", switches(closes(code, reason)), meaning)


BROKEN_OPENINGS = [
    # -- an error event, and its Close -----------------------------------------------------
    _opening("bad key", switches(error_event(_KEY), closes(3000, _PREFIX + _KEY)), _unauthorized),
    _opening(
        "bad model",
        switches(error_event(_MODEL), closes(4000, _PREFIX + _MODEL)),
        _rejected,
        says="(invalid_model): said upstream",
    ),
    _opening(
        "retired model", switches(error_event(_RETIRED), closes(4004, _PREFIX + _RETIRED)), _unknown
    ),
    _opening("quota", switches(error_event("insufficient_quota"), closes(4000)), _exhausted),
    _opening("rate", switches(error_event("rate_limit_exceeded"), closes(1013)), _limited),
    _opening(
        "unknown error, Close 1011", switches(error_event("server_error"), closes(1011)), _failing
    ),
    _opening("error, no Close", switches(error_event(_MODEL)), _rejected, seconds=CLOSE),
    _opening("error, then reset", (switches(error_event(_MODEL)), resets), _rejected),
    _opening("error, then FIN", (switches(error_event(_MODEL)), ends), _rejected),
    _opening(
        "error twice",
        switches(error_event(_MODEL), error_event(_KEY), closes(4000)),
        _rejected,
        says="invalid_model",
    ),
    _opening(
        "error of no shape", switches(text('{"type":"error","error":7}')), _refused, seconds=CLOSE
    ),
    # -- a Close at once -------------------------------------------------------------------
    *(_closing(code, _refused) for code in (1000, 1003, 1007, 1008, 1009, 4001, 4999)),
    *(_closing(code, _failing) for code in (1001, 1011, 1012, 1013, 1014)),
    *(_closing(code, _refused) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 5000)),
    _closing(3000, _unauthorized),
    _closing(3000, _unauthorized, _PREFIX + _KEY),
    _closing(4000, _rejected, _PREFIX + _MODEL),
    _closing(4004, _unknown, _PREFIX + _RETIRED),
    _opening("Close without a code", switches(frame(Opcode.CLOSE, b"")), _refused),
    # -- a broken WebSocket ----------------------------------------------------------------
    _opening("text that is not UTF-8", switches(frame(Opcode.TEXT, b"\xff\xfe")), _refused),
    _opening("a reserved bit", switches(b"\xc1\x02{}"), _refused),
    _opening("a reserved opcode", switches(b"\x83\x00"), _refused),
    _opening("a masked frame", switches(frame(Opcode.TEXT, b"{}", masked=True)), _refused),
    _opening("a continuation of nothing", switches(frame(Opcode.CONT, b"{}")), _refused),
    _opening("a fragmented ping", switches(b"\x09\x00"), _refused),
    _opening("a Close of one byte", switches(frame(Opcode.CLOSE, b"\x03")), _refused),
    _opening("a reason not UTF-8", switches(frame(Opcode.CLOSE, b"\x03\xe8\xff")), _refused),
    _opening("8 GiB announced", switches(b"\x81\x7f" + (2**33).to_bytes(8, "big")), _refused),
    # -- nothing, or the end ---------------------------------------------------------------
    _opening("101, then FIN", (switches(), ends), _dropped),
    _opening("101, then reset", (switches(), resets), _dropped),
    _opening("101, then silence", (switches(), pings), _late, seconds=HOLD),
    _opening("101, then half an event", (switches(text("{" + " " * 99)[:9]), ends), _dropped),
]
