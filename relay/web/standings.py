"""How an upstream is doing, as the pages of the admin listener tell it."""

from __future__ import annotations

from relay.upstreams.balancing import Standing
from relay.upstreams.diagnosis import failure_as_json


def as_json(standing: Standing) -> dict[str, object]:
    """An upstream, and why its breaker is not closed, in the words of the check."""
    told: dict[str, object] = {
        "name": standing.upstream.name,
        "breaker": standing.breaker_state,
        "sessions": standing.sessions,
    }
    trouble = standing.trouble
    if trouble is not None:
        told |= {
            "failure": failure_as_json(trouble.finding),
            "since": trouble.cause.since,
            "next_try_seconds": round(trouble.wait, 1),
        }
    return told
