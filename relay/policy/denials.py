"""What the client of a session is told of an event that goes no further."""

from __future__ import annotations

from typing import Literal

from relay.policy.strict import serialised
from relay.rules.relay_error import relay_error

DenialCode = Literal[
    "event_not_allowed",
    "field_not_allowed",
    "model_not_allowed",
    "invalid_event",
    "event_too_large",
]

DENIALS: dict[DenialCode, str] = {
    "event_not_allowed": "This relay does not allow {detail} in this session.",
    "field_not_allowed": "Leave {detail} out; this relay does not allow it in this session.",
    "model_not_allowed": "Choose a model that this relay allows.",
    "invalid_event": "Send each event as one strict JSON object: {detail}.",
    "event_too_large": "Send a smaller event: this relay takes {detail} bytes in this session.",
}
"""The table: what is wrong, and what to do."""

LONGEST_SHOWN = 100
"""Characters of the client's own that a message repeats."""

LONGEST_ID = 512
"""Characters of an event's id, as OpenAI has it."""


class Denied(Exception):
    """
    An event goes no further.

    @ivar param: the field that is to blame, as OpenAI writes it; L{None} without one.
    """

    def __init__(self, code: DenialCode, detail: str = "", param: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail[:LONGEST_SHOWN]
        self.param = param


def denial(denied: Denied, request_id: str, number: int, event_id: object) -> bytes:
    """
    The C{error} event that tells of it.

    @param number: which such event of the session it is, for an id of its own.
    @param event_id: the id of the event that was denied, if it is a string.
    """
    theirs = event_id if isinstance(event_id, str) and len(event_id) <= LONGEST_ID else None
    message = DENIALS[denied.code].format(detail=denied.detail)
    error = relay_error(denied.code, message, retryable=False, request_id=request_id)
    # The Live API calls it by the second name, in both places.
    error |= {"param": denied.param, "event_id": theirs, "client_event_id": theirs}
    event = {"type": "error", "event_id": f"event_{request_id}_{number}", "error": error}
    return serialised(event if theirs is None else {**event, "client_event_id": theirs})
