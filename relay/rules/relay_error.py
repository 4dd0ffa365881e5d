"""The relay's own error, in OpenAI's shape, so that its SDKs show the message."""

from __future__ import annotations

import json
from collections.abc import Mapping


def relay_error(
    code: str, message: str, *, retryable: bool, request_id: str, **more: object
) -> dict[str, object]:
    """
    The error object.

    @param message: one sentence, safe to show to anybody.
    @param retryable: whether the same request may succeed later.
    @param more: further fields.
    """
    return {
        "type": "relay_error",
        "code": code,
        "message": message,
        "param": None,
        "request_id": request_id,
        "retryable": retryable,
        **more,
    }


def as_event(error: Mapping[str, object], request_id: str) -> bytes:
    """The object as one C{error} event, a JSON text. A connection is sent one at most."""
    event = {"type": "error", "event_id": f"event_{request_id}", "error": error}
    return json.dumps(event).encode("ascii")
