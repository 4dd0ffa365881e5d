"""
The session object: how it starts, and what a client may change of it.
"""

from __future__ import annotations

from relay.simulator import fields
from relay.simulator.audio import FORMATS, Format
from relay.simulator.fields import Event
from relay.simulator.shapes import (
    Shape,
    array,
    either,
    flag,
    mapping,
    one_of,
    or_null,
    table,
    text,
    variant,
    whatever,
    within,
)
from relay.simulator.tools import TOOL, TOOL_CHOICE
from relay.simulator.transcription import TRANSCRIPTION

LIFETIME = 3600
"""Seconds from a session's start to its C{expires_at}."""

LOGPROBS = "item.input_audio_transcription.logprobs"
"""What C{include} may name."""

SERVER_VAD: Event = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
}
"""How a transcription session detects turns, unless it is told otherwise."""

_RESPONDS: Event = {"create_response": True, "interrupt_response": True}
_SERVER_VAD: Event = {**SERVER_VAD, "idle_timeout_ms": None, **_RESPONDS}
_SEMANTIC_VAD: Event = {"type": "semantic_vad", "eagerness": "auto", **_RESPONDS}

_server_vad: dict[str, Shape] = {
    "type": text,
    "threshold": within(0, 1),
    "prefix_padding_ms": within(0, 10_000, int),
    "silence_duration_ms": within(0, 60_000, int),
}
_responds: dict[str, Shape] = {"create_response": flag, "interrupt_response": flag}
_idle = or_null(within(5_000, 30_000, int))
_eagerness = one_of("low", "medium", "high", "auto")

TURN_DETECTION: Shape = variant(
    {
        "server_vad": table(
            {**_server_vad, **_responds, "idle_timeout_ms": _idle}, defaults=_SERVER_VAD
        ),
        "semantic_vad": table(
            {"type": text, **_responds, "eagerness": _eagerness}, defaults=_SEMANTIC_VAD
        ),
    }
)
"""What C{turn_detection} may be, where there are responses."""

FORMAT: Shape = variant(
    {
        "audio/pcm": table({"type": text, "rate": one_of(24_000)}, defaults={"rate": 24_000}),
        "audio/pcmu": table({"type": text}),
        "audio/pcma": table({"type": text}),
    }
)
"""What an audio format may be."""


def _voice(value: object, param: str) -> str:
    # The service shows a voice of one's own by its id.
    chosen = either(text, table({"id": text}, required=("id",)))(value, param)
    return str(chosen["id"] if isinstance(chosen, dict) else chosen)


def _input(detection: Shape) -> Shape:
    return table(
        {
            "format": FORMAT,
            "transcription": or_null(TRANSCRIPTION),
            "noise_reduction": or_null(
                table({"type": one_of("near_field", "far_field"), "strength": within(0, 1)})
            ),
            "turn_detection": or_null(detection),
        }
    )


def _modalities(value: object, param: str) -> object:
    return one_of(["audio"], ["text"])(value, param)


_PROMPT = table({"id": text, "version": text, "variables": mapping(text, 64)}, required=("id",))
_TRACING = either(
    one_of("auto"),
    table({"group_id": text, "workflow_name": text, "metadata": whatever}),
)
_TRUNCATION = either(
    one_of("auto", "disabled"),
    variant(
        {
            "retention_ratio": table(
                {
                    "type": text,
                    "retention_ratio": within(0, 1),
                    "token_limits": table({"post_instructions": within(0, 1_000_000, int)}),
                },
                required=("retention_ratio",),
            )
        }
    ),
)

ANSWERING: dict[str, Shape] = {
    "instructions": text,
    "max_output_tokens": either(one_of("inf"), within(1, 4096, int)),
    "output_modalities": _modalities,
    "parallel_tool_calls": flag,
    "prompt": or_null(_PROMPT),
    "reasoning": table({"effort": one_of("minimal", "low", "medium", "high", "xhigh")}),
    "tool_choice": TOOL_CHOICE,
    "tools": array(TOOL),
}
"""What both a session and one C{response.create} may say about answers."""

OUTPUT: dict[str, Shape] = {"format": FORMAT, "voice": _voice}
"""What both may say about the audio of answers."""

_INCLUDE = or_null(array(one_of(LOGPROBS)))

SESSIONS: dict[str, Shape] = {
    "realtime": table(
        {
            **ANSWERING,
            "type": text,
            "model": text,
            "include": _INCLUDE,
            "tracing": or_null(_TRACING),
            "truncation": _TRUNCATION,
            "audio": table(
                {
                    "input": _input(TURN_DETECTION),
                    "output": table({**OUTPUT, "speed": within(0.25, 1.5)}),
                }
            ),
        }
    ),
    "transcription": table(
        {
            "type": text,
            "include": _INCLUDE,
            "audio": table(
                {"input": _input(variant({"server_vad": table(_server_vad, defaults=SERVER_VAD)}))}
            ),
        }
    ),
}
"""The type of a session to what C{session.update} may change of it."""

UNSEEN = ("model", "parallel_tool_calls")
"""What C{session.update} takes, but does not change or does not show."""


def _new_input(transcription: Event | None, detection: Event) -> Event:
    return {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": transcription,
        "noise_reduction": None,
        "turn_detection": detection,
    }


def _new_output() -> Event:
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
        hearing = _new_input({"model": "gpt-4o-transcribe"}, SERVER_VAD)
        return {**kind, **start, "include": None, "audio": {"input": hearing}}
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
        "audio": {"input": _new_input(None, _SERVER_VAD), "output": _new_output()},
    }


def updated(session: Event, changes: Event) -> Event:
    """
    A new session object, as it is after C{session.update}.

    The model cannot be changed: it stays what the URL said.

    @raise ClientError: if a setting is missing, unknown, or of a wrong kind.
    """
    kind = fields.required(changes, "type", str, "session.")
    fields.one_of(kind, (session["type"],), "session.type")
    given: Event = SESSIONS[kind](changes, "session")
    audio = {
        side: {**old, **given.get("audio", {}).get(side, {})}
        for side, old in session["audio"].items()
    }
    kept = {name: value for name, value in given.items() if name not in UNSEEN}
    return {**session, **kept, "audio": audio}


def input_format(session: Event) -> Format:
    """The format of the client's audio."""
    return FORMATS[session["audio"]["input"]["format"]["type"]]


def output_format(output: Event) -> Format:
    """The format of an answer's audio, by C{audio.output} of a session or response."""
    return FORMATS[output["format"]["type"]]


def turn_detection(session: Event) -> Event | None:
    """How turns are detected; L{None} if the client commits its audio itself."""
    detection: Event | None = session["audio"]["input"]["turn_detection"]
    return detection


def hearing(session: Event) -> tuple[Event, Event | None]:
    """What the input audio buffer goes by: the format, and how turns are detected."""
    return session["audio"]["input"]["format"], turn_detection(session)


def is_answering(session: Event) -> bool:
    """Whether the session has responses; a transcription session has none."""
    return bool(session["type"] == "realtime")
