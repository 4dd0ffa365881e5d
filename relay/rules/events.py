"""
The few facts the relay reads of a Realtime server event.

Source: OpenAI's Realtime reference, server events C{session.created} and C{error}.
"""

from __future__ import annotations

import json

from attrs import frozen

MAX_READ = 256 * 1024
"""Bytes of an event the relay is willing to parse; a refusal is never larger."""


MAX_ID = 256
"""Characters of a session's id that are kept, as long as the session lasts."""


@frozen
class ServerEvent:
    """
    @ivar type: the event's type, C{""} if it has none.
    @ivar code: of an C{error}: its code, else its type, else C{""}.
    @ivar message: of an C{error}: its text.
    @ivar session_id: of C{session.created}: the session's id.
    """

    type: str = ""
    code: str = ""
    message: str = ""
    session_id: str | None = None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def error_in(value: object) -> tuple[str, str]:
    """
    Code and message of OpenAI's error shape C{{"error": {…}}}, empty where absent.

    Without a code that is text, its type stands in for it, or Google's C{status}.
    """
    error = _table(_table(value).get("error"))
    codes = (_text(error.get(key)) for key in ("code", "type", "status"))
    return next(filter(None, codes), ""), _text(error.get("message"))


def parse_json(payload: bytes) -> object:
    """The JSON value, or L{None} for what is too large, is not JSON, or is nested too deep."""
    if len(payload) > MAX_READ:
        return None
    try:
        value: object = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value


def parse_event(payload: bytes) -> ServerEvent:
    """Read one event; anything that is not one has the type C{""}."""
    value = parse_json(payload)
    kind = _text(_table(value).get("type"))
    if kind == "error":
        code, message = error_in(value)
        return ServerEvent(kind, code, message)
    session = _table(_table(value).get("session"))
    return ServerEvent(kind, session_id=_text(session.get("id"))[:MAX_ID] or None)
