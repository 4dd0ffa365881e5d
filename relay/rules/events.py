"""
The few fields of a Realtime server event that the relay reads.

Source: OpenAI's Realtime reference, server events C{session.created} and C{error}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from relay.rules.said import Said, error_in
from relay.rules.values import as_table, as_text, parse_json

MAX_ID = 256
"""Most characters of a session's id: it is kept as long as the session."""


LATEST = 2**40
"""No service says a later time, in seconds since 1970."""


@frozen
class ServerEvent:
    """
    What the relay reads of an event.

    @ivar type: the event's type; C{""} if it has none.
    @ivar error: what it says, if it is an error.
    @ivar session_id: the session's id, from an event with a session, such as C{session.created}.
    """

    type: str = ""
    error: Said | None = None
    session_id: str | None = None


def is_error(event: Mapping[str, Any]) -> bool:
    """
    Whether an event is an error. Some services send the body of an HTTP error as it is, which has
    no type.
    """
    kind = as_text(event.get("type"))
    return kind.endswith("error") or bool(not kind and event.get("error"))


def parse_event(payload: bytes) -> ServerEvent:
    """Read one event. A payload that is no event gets the type C{""}."""
    table = as_table(parse_json(payload))
    kind = as_text(table.get("type"))
    if is_error(table):
        return ServerEvent(kind, error_in(table))
    session = as_table(table.get("session"))
    return ServerEvent(kind, session_id=as_text(session.get("id"))[:MAX_ID] or None)


def expires_at(payload: bytes) -> float | None:
    """When the service ends the session, in seconds since 1970, if its first event says so."""
    said = as_table(as_table(parse_json(payload)).get("session")).get("expires_at")
    is_number = isinstance(said, (int, float)) and not isinstance(said, bool)
    return float(said) if is_number and 0 < said < LATEST else None  # type: ignore[arg-type,operator]
