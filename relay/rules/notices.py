"""What the relay says before it must, to a client that offers the subprotocol C{relay.notices}."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from relay.rules.closes import EXPIRED, TOO_LONG, Close

Reason = Literal["session_seconds", "credential", "service", "drain"]
"""Why the session will end: a limit of the relay's, the client's grant, or the service's limit."""

REASONS: Mapping[Close, Reason] = {TOO_LONG: "session_seconds", EXPIRED: "credential"}
"""Why a session ends that is closed like this."""


def notice(reason: Reason, seconds: float, request_id: str) -> bytes:
    """
    The event.

    @param seconds: until the session ends; at a drain, until it may be closed.
    """
    event = {
        "type": "relay.draining" if reason == "drain" else "relay.expiring",
        "event_id": f"event_{request_id}_{reason}",
        "request_id": request_id,
        "reason": reason,
        "seconds": max(0, round(seconds)),
    }
    return json.dumps(event).encode("ascii")
