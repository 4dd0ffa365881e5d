"""Foreign JSON, of which nothing is known beforehand."""

from __future__ import annotations

import json
from typing import Any

MAX_READ = 256 * 1024
"""Most bytes that the relay parses; no event that it reads is larger."""


def parse_json(payload: bytes) -> object:
    """The JSON value; L{None} if it is over L{MAX_READ} bytes, no JSON, or nested too deep."""
    if len(payload) > MAX_READ:
        return None
    try:
        value: object = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value


def as_text(value: object) -> str:
    """The value if it is a string, else C{""}."""
    return value if isinstance(value, str) else ""


def as_table(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
