"""
The session object: how it starts, and what a client may change of it.
"""

from __future__ import annotations

from relay.simulator import fields
from relay.simulator.fields import ClientError, Event

LIFETIME = 3600
"""Seconds from a session's start to its C{expires_at}."""

SETTINGS = frozenset(
    (
        "type",
        "model",
        "include",
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
    )
)
"""What C{session.update} may name besides C{audio}."""

AUDIO_SETTINGS = {
    "input": frozenset(("format", "noise_reduction", "transcription", "turn_detection")),
    "output": frozenset(("format", "speed", "voice")),
}
"""
What C{session.update} may name below C{session.audio}. The set is closed, so that no client can
make the session grow message by message.
"""

BYTES_PER_SECOND = {"audio/pcm": 48_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""An audio format to its bytes a second: 24 kHz of 16 bits, or 8 kHz of 8 bits."""


def _input() -> Event:
    # Turn detection is off, because the simulator does not detect pauses.
    return {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": None,
    }


def _output() -> Event:
    return {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin", "speed": 1.0}


def new_session(model: str | None, session_id: str, now: float) -> Event:
    """
    A session as C{session.created} shows it.

    @param model: the session's model; L{None} makes it a transcription session.
    @param now: seconds since 1970.
    """
    start = {"id": session_id, "expires_at": int(now) + LIFETIME}
    if model is None:
        kind = {"type": "transcription", "object": "realtime.transcription_session"}
        return {**kind, **start, "include": None, "audio": {"input": _input()}}
    return {
        "type": "realtime",
        "object": "realtime.session",
        **start,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {"input": _input(), "output": _output()},
    }


def modalities(table: Event, default: list[str], within: str) -> list[str]:
    """
    What an answer is made of: C{["audio"]} or C{["text"]}.

    @raise ClientError: if C{output_modalities} is there, and is neither.
    """
    chosen: list[str] = fields.optional(table, "output_modalities", list, default, within)
    fields.one_of(chosen, (["audio"], ["text"]), f"{within}output_modalities")
    return chosen


def _known(table: Event, names: frozenset[str], within: str) -> None:
    for name in table:
        if name not in names:
            param = within + name
            raise ClientError("unknown_parameter", f"Leave out '{param}': it is unknown.", param)


def _format(table: Event, within: str) -> None:
    chosen = fields.optional(table, "format", dict, {"type": "audio/pcm"}, within)
    fields.one_of(chosen.get("type"), tuple(BYTES_PER_SECOND), f"{within}format.type")


def _audio(old: Event, changes: Event) -> Event:
    _known(changes, frozenset(old), "session.audio.")
    merged = dict(old)
    for side in changes:
        within = f"session.audio.{side}."
        given = fields.optional(changes, side, dict, {}, "session.audio.")
        _known(given, AUDIO_SETTINGS[side], within)
        _format(given, within)
        # A part that is set to null is switched off; but there is always a format.
        kept = {k: v for k, v in given.items() if v is not None or k != "format"}
        merged[side] = {**old[side], **kept}
    return merged


def updated(session: Event, changes: Event) -> Event:
    """
    A new session object, as it is after C{session.update}.

    The model cannot be changed: it stays what the URL said.

    @raise ClientError: if a setting is missing, unknown, or of a wrong kind.
    """
    kind = fields.required(changes, "type", str, "session.")
    fields.one_of(kind, (session["type"],), "session.type")
    _known(changes, SETTINGS | {"audio"}, "session.")
    answers = modalities(changes, session.get("output_modalities", ["text"]), "session.")
    audio = _audio(session["audio"], fields.optional(changes, "audio", dict, {}, "session."))
    given = {k: v for k, v in changes.items() if k != "model"}
    return {**session, **given, "output_modalities": answers, "audio": audio}


def bytes_per_second(session: Event) -> int:
    """Bytes a second of the client's audio, which is also sent back as it is."""
    return BYTES_PER_SECOND[session["audio"]["input"]["format"]["type"]]
