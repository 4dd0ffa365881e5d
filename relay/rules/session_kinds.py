"""
The kinds of session that a client can open, and the fields that each of OpenAI's kinds has.

Source: the package C{openai} 3.57 for Python (C{types/realtime}: C{RealtimeSessionCreateRequest},
C{RealtimeTranscriptionSessionCreateRequest}, C{RealtimeTranslationSessionUpdateRequest}).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

SessionKind = Literal["realtime", "transcription", "translation", "live", "gemini", "sideband"]
"""OpenAI's names, where it has one; a C{sideband} goes to a session or call of another."""

_HEARD = frozenset({"audio.input.noise_reduction", "audio.input.transcription"})
_TURNS = frozenset({"audio.input.format", "audio.input.turn_detection", "include"})
_SPOKEN = frozenset(
    {
        "audio.output.format",
        "audio.output.speed",
        "audio.output.voice",
        "instructions",
        "max_output_tokens",
        "output_modalities",
        "parallel_tool_calls",
        "prompt",
        "reasoning",
        "tool_choice",
        "tools",
        "tracing",
        "truncation",
    }
)

FIELDS: Mapping[str, frozenset[str]] = {
    "realtime": _HEARD | _TURNS | _SPOKEN,
    "transcription": _HEARD | _TURNS,
    "translation": _HEARD | {"audio.output.language"},
}
"""Fields, with dots between the names, of each kind that has its fields listed."""

_ALL = frozenset[str]().union(*FIELDS.values())


def model_paths(kind: str) -> list[tuple[str, ...]]:
    """
    Where a session of this kind names its model, each as names within names. That of a
    transcription stands where other sessions say who writes down what they hear, so there it is no
    model of the session.
    """
    if kind != "transcription":
        return [("model",)]
    today, retired = ("audio", "input", "transcription"), ("input_audio_transcription",)
    return [("model",), (*today, "model"), (*retired, "model")]


def lacks(kind: str, path: Sequence[str]) -> bool:
    """
    Whether a session of this kind has no such field, though one of another kind has. What nobody
    lists may be a field of the service's own.
    """
    if kind not in FIELDS:
        return False
    names = (".".join(path[: end + 1]) for end in range(len(path)))
    return any(name in _ALL and name not in FIELDS[kind] for name in names)
