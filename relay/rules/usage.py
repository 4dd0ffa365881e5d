"""
The tokens that a Realtime session is billed for, as upstream tells them.

Source: OpenAI's Realtime reference, C{usage} of the server events C{response.done} and
C{conversation.item.input_audio_transcription.completed}.
"""

from __future__ import annotations

from collections.abc import Mapping

_KINDS: dict[tuple[str, ...], str] = {
    ("input_tokens",): "input",
    ("input_token_details", "text_tokens"): "input_text",
    ("input_token_details", "audio_tokens"): "input_audio",
    ("input_token_details", "cached_tokens"): "input_cached",
    ("output_tokens",): "output",
    ("output_token_details", "text_tokens"): "output_text",
    ("output_token_details", "audio_tokens"): "output_audio",
}


def tokens_of(event: Mapping[str, object]) -> dict[str, int]:
    """
    The tokens that an event tells of, by kind; only kinds that are above 0.

    C{input} and C{output} are totals; the C{_text}, C{_audio} and C{_cached} kinds are parts of
    them. The kinds of a transcription begin with C{transcription_}, because another model counts
    them, at other prices.
    """
    if event.get("type") == "response.done":
        return _tokens(_at(event, ("response", "usage")), "")
    return _tokens(event.get("usage"), "transcription_")


def _tokens(usage: object, prefix: str) -> dict[str, int]:
    counts = {prefix + kind: _at(usage, path) for path, kind in _KINDS.items()}
    return {kind: count for kind, count in counts.items() if type(count) is int and count > 0}


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
