"""
The ids of calls, as a relay with several upstreams tells them: each carries the name of the
upstream that has the call. So no relay has to remember it, and any relay of a fleet finds it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

BETWEEN = "~"
"""Stands between upstream's id and the name. It may stand in a path and in a query as it is."""


def marked(call_id: str, upstream: str) -> str:
    """The id of a call that this upstream has."""
    name = urlsafe_b64encode(upstream.encode("utf-8")).decode("ascii").rstrip("=")
    return f"{call_id}{BETWEEN}{name}"


def upstream_in(call_id: str) -> str | None:
    """The name of the upstream that has this call; L{None} if the id does not say so."""
    _, between, name = call_id.rpartition(BETWEEN)
    if not between:
        return None
    try:
        return urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode("utf-8") or None
    except (Error, ValueError):
        return None


def unmarked(call_id: str, upstream: str) -> str:
    """The id by which this upstream itself knows the call."""
    own = upstream_in(call_id) == upstream
    return call_id.rpartition(BETWEEN)[0] if own else call_id
