"""
The session object of the Live API: what a client may say when it starts one, and what it gets.
"""

from __future__ import annotations

from typing import Any

from relay.simulator import fields, shapes
from relay.simulator.audio import Format
from relay.simulator.fields import ClientError, Event
from relay.simulator.session import LIFETIME

FORMATS = {
    (form.name, form.rate): form
    for form in (
        Format("audio/pcm", 24_000, 2),
        Format("audio/pcm", 16_000, 2),
        Format("audio/pcmu", 8_000, 1),
        Format("audio/pcma", 8_000, 1),
    )
}
"""The name and the rate of a format to the format."""

DEFAULTS: Event = {
    "audio": {"format": {"type": "audio/pcm", "rate": 24_000}, "output": {"voice": "marin"}},
    "delegation": {"type": "client"},
    "instructions": "",
    "store": False,
}
"""What a client does not say."""


def _format(value: Any, param: str) -> Event:
    given: Event = _FORMAT(value, param)
    if (given["type"], given["rate"]) not in FORMATS:
        known = ", ".join(f"{name} at {rate} Hz" for name, rate in FORMATS)
        raise ClientError("invalid_value", f"Make '{param}' one of: {known}.", param)
    return given


_FORMAT = shapes.table({"type": shapes.text, "rate": shapes.of(int)}, required=("type", "rate"))
_VOICE = shapes.either(shapes.text, shapes.table({"id": shapes.text}, required=("id",)))


def _delegation(is_whole: bool) -> shapes.Shape:
    def backend(kind: str) -> shapes.Shape:
        delay = shapes.within(0, 60_000, int)
        known = {"type": shapes.text, kind: shapes.whatever, "acknowledgement_delay_ms": delay}
        return shapes.table(known, required=(kind,) if is_whole else ())

    client = shapes.table({"type": shapes.text})
    backends = {kind: backend(kind) for kind in ("responses", "decisions")}
    return shapes.variant({"client": client, **backends})


_FORK = {
    "audio": shapes.table({"format": _format}),
    "delegation": _delegation(is_whole=False),
    "store": shapes.flag,
}
_START = {
    "model": shapes.text,
    "audio": shapes.table({"format": _format, "output": shapes.table({"voice": _VOICE})}),
    "client": shapes.whatever,
    "delegation": _delegation(is_whole=True),
    "input": shapes.array(shapes.whatever),
    "instructions": shapes.text,
    "safety_identifier": shapes.text,
    "store": shapes.flag,
    "triggers": shapes.array(shapes.whatever),
}

_SHAPES = {False: shapes.table(_START, required=("model",)), True: shapes.table(_FORK)}

_CHANGES = shapes.table(
    {
        "delegation": _delegation(is_whole=False),
        "triggers": shapes.array(shapes.whatever),
    }
)


def started(given: Event, source: Event | None, session_id: str, now: float) -> Event:
    """
    The session object of a session that starts.

    @param given: C{session} of C{session.start}.
    @param source: the session object of the session that this is a fork of.
    @param now: seconds since 1970.
    @raise ClientError: if a setting is missing, unknown, or of a wrong kind.
    """
    settings: Event = _SHAPES[source is not None](given, "session")
    before = source or DEFAULTS
    merged = {**before, **settings, "audio": {**before["audio"], **settings.get("audio", {})}}
    if source is not None:
        merged["delegation"] = _redelegated(source, settings)
    start = {"id": session_id, "expires_at": int(now) + LIFETIME, "status": "active"}
    return {**merged, **start}


def updated(session: Event, given: Event) -> Event:
    """
    The session object as it is after C{session.update}.

    @param given: C{session} of that event.
    @raise ClientError: like L{started}, or if a setting cannot change any more.
    """
    changes: Event = _CHANGES(given, "session")
    return {**session, **changes, "delegation": _redelegated(session, changes)}


def _redelegated(session: Event, changes: Event) -> Event:
    before: Event = session["delegation"]
    new: Event = changes.get("delegation", before)
    kind = before["type"]
    if new["type"] != kind:
        param = "session.delegation.type"
        raise ClientError("invalid_value", f"Leave '{param}' as it is: '{kind}'.", param)
    backend = {kind: {**before[kind], **new.get(kind, {})}} if kind in before else {}
    return {**before, **new, **backend}


def format_of(session: Event) -> Format:
    """The format of the audio that the client sends and gets."""
    form = session["audio"]["format"]
    return FORMATS[form["type"], form["rate"]]


def voice_of(session: Event) -> str:
    """The name of the voice, or its id."""
    voice = session["audio"]["output"].get("voice", "marin")
    return str(voice if isinstance(voice, str) else voice["id"])


def model_asked_for(given: Event) -> str:
    """The model that C{session} of C{session.start} names; C{""} if it names none."""
    return fields.optional(given, "model", str, "", "session.")
