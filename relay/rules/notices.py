"""What the relay says before it must, to a client that offers the subprotocol C{relay.notices}."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from relay.rules.budgets import BUDGETS, BudgetName
from relay.rules.closes import EXPIRED, TOO_LONG, Close

Reason = Literal["session_seconds", "credential", "service", "drain"] | BudgetName
"""
Why the session will end: a limit of the relay's, the client's grant, the service's limit, or a
budget that is used up.
"""

REASONS: Mapping[Close, Reason] = {TOO_LONG: "session_seconds", EXPIRED: "credential"}
"""Why a session ends that is closed like this."""

_TYPES: Mapping[Reason, str] = {
    "drain": "relay.draining",
    **dict.fromkeys(BUDGETS, "relay.budget_exhausted"),
}


def notice(reason: Reason, seconds: float, request_id: str) -> bytes:
    """
    The event.

    @param seconds: until the session ends; at a drain, until it may be closed; of a budget, until
        there is more.
    """
    event = {
        "type": _TYPES.get(reason, "relay.expiring"),
        "event_id": f"event_{request_id}_{reason}",
        "request_id": request_id,
        "reason": reason,
        "seconds": max(0, round(seconds)),
    }
    return json.dumps(event).encode("ascii")
