"""
The few fields of a Realtime server event that the relay reads.

Source: OpenAI's Realtime reference, server events C{session.created} and C{error}.
"""

from __future__ import annotations

import json

from attrs import frozen

MAX_READ = 256 * 1024
"""Most bytes of an event that the relay parses; a refusal is never larger."""


MAX_ID = 256
"""Most characters of a session's id: it is kept as long as the session."""


@frozen
class ServerEvent:
    """
    What the relay reads of an event.

    @ivar type: the event's type; C{""} if it has none.
    @ivar code: the code of an C{error}, else its type, else C{""}.
    @ivar message: the text of an C{error}.
    @ivar session_id: the session's id, from an event with a session, such as C{session.created}.
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
    Code and message of OpenAI's error shape C{{"error": {…}}}; each is empty if absent.

    If the code is no text, its C{type} is taken instead, or Google's C{status}.
    """
    error = _table(_table(value).get("error"))
    codes = (_text(error.get(key)) for key in ("code", "type", "status"))
    return next(filter(None, codes), ""), _text(error.get("message"))


def parse_json(payload: bytes) -> object:
    """The JSON value; L{None} if it is over L{MAX_READ} bytes, no JSON, or nested too deep."""
    if len(payload) > MAX_READ:
        return None
    try:
        value: object = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value


def parse_event(payload: bytes) -> ServerEvent:
    """Read one event. A payload that is no event gets the type C{""}."""
    value = parse_json(payload)
    kind = _text(_table(value).get("type"))
    if kind == "error":
        code, message = error_in(value)
        return ServerEvent(kind, code, message)
    session = _table(_table(value).get("session"))
    return ServerEvent(kind, session_id=_text(session.get("id"))[:MAX_ID] or None)
