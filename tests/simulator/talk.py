"""
What the simulator's tests share: a conversation whose every answer is valid by the SDK's own types.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from math import pi, sin
from typing import Any, get_args

from openai import BaseModel
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
from openai.types.realtime.realtime_transcription_session_create_response import (
    RealtimeTranscriptionSessionCreateResponse,
)

from relay.simulator.conversation import Conversation

Event = dict[str, Any]
NOW = 1_800_000_000.0
SECOND = bytes(48_000)
Models = dict[str, type[BaseModel]]
"""The type of an event to the SDK's model of it."""


def models_of(events: object) -> Models:
    """Those of one of the SDK's unions of events."""
    models: tuple[type[BaseModel], ...] = get_args(get_args(events)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


MODELS = models_of(RealtimeServerEvent)
SESSIONS: dict[str, type[BaseModel]] = {
    "realtime": RealtimeSessionCreateResponse,
    "transcription": RealtimeTranscriptionSessionCreateResponse,
}
"""The service's reference has these in its events; the SDK's events have those of requests."""


def unknown(value: object) -> Iterator[str]:
    """The fields that the SDK's types do not have; these types let any field pass."""
    if isinstance(value, BaseModel):
        yield from (f"{type(value).__name__}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from unknown(each)


def check(event: Event) -> None:
    """An event is as the service's are: no field is missing, none is wrong, none is unknown."""
    assert list(event)[:2] == ["type", "event_id"]
    if "session" in event:
        session = event["session"]
        valid = SESSIONS[session["type"]].model_validate(session, strict=True)
        assert set(event) == {"type", "event_id", "session"}
        assert list(unknown(valid)) == []
        json.dumps(event, allow_nan=False)
    else:
        check_as(event, MODELS)


def check_as(event: Event, models: Models) -> None:
    """Like L{check}, by the models of another endpoint."""
    assert next(iter(event)) == "type"
    assert list(unknown(models[event["type"]].model_validate(event, strict=True))) == []
    json.dumps(event, allow_nan=False)


def encoded(samples: bytes) -> str:
    return b64encode(samples).decode("ascii")


def message(text: str, role: str = "user", **more: object) -> Event:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **more}


@lru_cache
def tone(milliseconds: int, loudness: float = 0.3) -> bytes:
    """Somebody speaks, as PCM."""
    levels = (sin(2 * pi * 300 * at / 24_000) for at in range(24 * milliseconds))
    samples = (round(32_767 * loudness * level) for level in levels)
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


def silence(milliseconds: int) -> bytes:
    """Nobody speaks, as PCM."""
    return bytes(48 * milliseconds)


@dataclass
class Talk:
    """A conversation whose every answer is checked."""

    model: str | None = "gpt-realtime"
    numbers: Iterator[int] = field(default_factory=count)
    conversation: Conversation = field(init=False)
    seen: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.conversation = Conversation(self.model, lambda: NOW, self._new_id)

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{next(self.numbers)}"

    def check(self, events: list[Event]) -> list[Event]:
        for event in events:
            check(event)
        self.seen += events
        ids = [event["event_id"] for event in self.seen]
        assert len(ids) == len(set(ids))
        return events

    def open(self) -> Event:
        (event,) = self.check(self.conversation.opening())
        return event

    def say(self, kind: str, **fields: object) -> list[Event]:
        payload = json.dumps({"type": kind, **fields}).encode()
        return self.check(self.conversation.receive(payload))

    def refused(self, kind: str, **fields: object) -> Event:
        (event,) = self.say(kind, **fields)
        assert event["type"] == "error"
        error: Event = event["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"]
        return error

    def update(self, **changes: object) -> Event:
        """Change the session; the session as it is then."""
        kind = "transcription" if self.model is None else "realtime"
        (event,) = self.say("session.update", session={"type": kind, **changes})
        session: Event = event["session"]
        return session

    def hears(self, **settings: object) -> Event:
        """Change the session's C{audio.input}."""
        return self.update(audio={"input": settings})

    def says(self, **settings: object) -> Event:
        """Change the session's C{audio.output}."""
        return self.update(audio={"output": settings})

    def append(self, samples: bytes) -> list[Event]:
        return self.say("input_audio_buffer.append", audio=encoded(samples))

    def speak(self, samples: bytes) -> str:
        """Commit audio; the id of its item."""
        self.append(samples)
        return str(self.say("input_audio_buffer.commit")[0]["item_id"])

    def type(self, text: str) -> str:
        """Create a message of the user's; the id of its item."""
        return str(self.say("conversation.item.create", item=message(text))[0]["item"]["id"])

    def listen(self) -> list[Event]:
        heard: list[Event] = []
        while self.conversation.speaking:
            heard += self.check(self.conversation.advance())
        return heard

    def answer(self, **response: object) -> list[Event]:
        return self.say("response.create", response=response or None) + self.listen()


def in_writing(model: str = "gpt-realtime") -> Talk:
    """A conversation whose answers are text."""
    talk = Talk(model)
    talk.update(output_modalities=["text"])
    return talk


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def heard_audio(events: list[Event]) -> bytes:
    return b"".join(b64decode(e["delta"]) for e in of(events, "response.output_audio.delta"))


def heard_text(events: list[Event]) -> str:
    return "".join(e["delta"] for e in of(events, "response.output_text.delta"))


def transcript(events: list[Event]) -> str:
    return "".join(e["delta"] for e in of(events, "response.output_audio_transcript.delta"))


def done(events: list[Event]) -> Event:
    (event,) = of(events, "response.done")
    response: Event = event["response"]
    return response
