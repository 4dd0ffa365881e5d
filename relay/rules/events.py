"""
The few fields of a Realtime server event that the relay reads.

Source: OpenAI's Realtime reference, server events C{session.created} and C{error}.
"""

from __future__ import annotations

from attrs import frozen

from relay.rules.said import Said, error_in
from relay.rules.values import as_table, as_text, parse_json

MAX_ID = 256
"""Most characters of a session's id: it is kept as long as the session."""


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


def parse_event(payload: bytes) -> ServerEvent:
    """Read one event. A payload that is no event gets the type C{""}."""
    table = as_table(parse_json(payload))
    kind = as_text(table.get("type"))
    # Some services send the body of an HTTP error as it is, which has no type.
    if kind.endswith("error") or (not kind and table.get("error")):
        return ServerEvent(kind, error_in(table))
    session = as_table(table.get("session"))
    return ServerEvent(kind, session_id=as_text(session.get("id"))[:MAX_ID] or None)
