"""
What a Realtime session is billed for, as upstream tells it: by tokens, or by seconds.

Source: OpenAI's Realtime reference, C{usage} of the server events C{response.done} and
C{conversation.item.input_audio_transcription.completed}; its Live reference, C{usage} of
C{session.usage.updated} and C{session.closed}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import frozen

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"

_KINDS: dict[tuple[str, ...], str] = {
    ("input_tokens",): "input",
    ("input_token_details", "text_tokens"): "input_text",
    ("input_token_details", "audio_tokens"): "input_audio",
    ("input_token_details", "cached_tokens"): "input_cached",
    ("output_tokens",): "output",
    ("output_token_details", "text_tokens"): "output_text",
    ("output_token_details", "audio_tokens"): "output_audio",
}

_SESSION = {
    "seconds": "session",
    "active_seconds": "session_active",
    "paused_seconds": "session_paused",
}

_ALL_TOKENS = ("input", "output", "transcription_input", "transcription_output")
_ALL_SECONDS = ("session", "response", "transcription")
"""The kinds that are totals; all others are parts of them."""

MOST = 2**53
"""A sum stays below it: as a float it is exact, and no store of numbers is too small for it."""

STATUSES = ("completed", "cancelled", "failed", "incomplete", "other")
"""How a response may end."""


@frozen
class Usage:
    """
    What is billed.

    @ivar tokens: of all models, input and output.
    @ivar seconds: of audio, or of the session.
    """

    tokens: int = 0
    seconds: float = 0.0

    def __add__(self, more: Usage) -> Usage:
        return Usage(self.tokens + more.tokens, self.seconds + more.seconds)

    def since(self, before: Usage) -> Usage:
        """What was billed since it was C{before}. What grows smaller gives nothing back."""
        return Usage(max(0, self.tokens - before.tokens), max(0.0, self.seconds - before.seconds))


NOTHING = Usage()


def usage_in(tokens: Mapping[str, int], seconds: Mapping[str, float]) -> Usage:
    """The sums of what a session is billed for by kind."""
    return Usage(_sum(tokens, _ALL_TOKENS, 0), _sum(seconds, _ALL_SECONDS, 0.0))


def _sum(by_kind: Mapping[str, Any], kinds: tuple[str, ...], none: Any) -> Any:
    return min(MOST, sum((by_kind.get(kind, none) for kind in kinds), none))


def tokens_of(event: Mapping[str, object]) -> dict[str, int]:
    """
    The tokens that an event tells of, by kind; only kinds that are above 0.

    C{input} and C{output} are totals; the C{_text}, C{_audio} and C{_cached} kinds are parts of
    them. The kinds of a transcription begin with C{transcription_}, because another model counts
    them, at other prices.
    """
    if event.get("type") == "response.done":
        return _tokens(_at(event, ("response", "usage")), "")
    return _tokens(event.get("usage"), "transcription_") if event.get("type") == TRANSCRIBED else {}


def _tokens(usage: object, prefix: str) -> dict[str, int]:
    counts = {prefix + kind: _at(usage, path) for path, kind in _KINDS.items()}
    return {kind: count for kind, count in counts.items() if type(count) is int and count > 0}


def seconds_of(event: Mapping[str, object]) -> dict[str, float]:
    """
    The seconds of audio that one response or transcription is billed for, by kind: C{response} or
    C{transcription}. They add up.
    """
    usages = {"response": _at(event, ("response", "usage")), "transcription": event.get("usage")}
    kind = {"response.done": "response", TRANSCRIBED: "transcription"}.get(str(event.get("type")))
    if kind is None or _at(usages[kind], ("type",)) != "duration":
        return {}
    return _seconds({kind: _at(usages[kind], ("seconds",))})


def session_seconds_of(event: Mapping[str, object]) -> dict[str, float]:
    """
    The seconds that the session is billed for so far, by kind: C{session} is the total, and
    C{session_active} and C{session_paused} are parts of it. Of several events the last counts.
    """
    if event.get("type") not in ("session.usage.updated", "session.closed"):
        return {}
    return _seconds({kind: _at(event, ("usage", name)) for name, kind in _SESSION.items()})


def _seconds(told: Mapping[str, object]) -> dict[str, float]:
    numbers = {
        kind: float(value)
        for kind, value in told.items()
        if isinstance(value, float) or (type(value) is int and value < 1 << 63)
    }
    return {kind: value for kind, value in numbers.items() if math.isfinite(value) and value > 0}


def status_of(event: Mapping[str, object]) -> str:
    """
    How a response ended, from its C{response.done}: C{completed}, C{cancelled}, C{failed},
    C{incomplete}, or C{other}.
    """
    status = _at(event, ("response", "status"))
    return next((known for known in STATUSES if status == known), "other")


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
