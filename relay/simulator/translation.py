"""
A translation session (C{/v1/realtime/translations}) as the server sees it. The simulator knows one
language only, so the translation is the client's own audio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from relay.simulator import fields, shapes
from relay.simulator.dialogue import Answers, Dialogue
from relay.simulator.fields import ClientError, Event
from relay.simulator.items import base64
from relay.simulator.session import LIFETIME

FRAME_MS = 200
"""Milliseconds of audio that are translated at a time."""

RATE = 24_000
"""Samples a second, of 16 bits each. A translation session knows no other format."""

FRAME = RATE * 2 * FRAME_MS // 1000
"""Bytes of L{FRAME_MS}."""

MAX_BUFFER = 32 * 1024 * 1024
"""Most bytes of audio that wait for their translation."""

CHANGES = shapes.table(
    {
        "audio": shapes.table(
            {
                "input": shapes.table(
                    {
                        "transcription": shapes.or_null(shapes.table({"model": shapes.text})),
                        "noise_reduction": shapes.or_null(
                            shapes.table(
                                {
                                    "type": shapes.one_of("near_field", "far_field"),
                                    "strength": shapes.within(0, 1),
                                }
                            )
                        ),
                    }
                ),
                "output": shapes.table({"language": shapes.text}),
            }
        )
    }
)
"""What C{session.update} may change."""


class Translation(Dialogue):
    """
    Says back every L{FRAME_MS} of audio, and how much there was in words.

    @param model: the model's name.
    @param now: tells the time, in seconds since 1970.
    @param new_id: makes an unused id that begins with the given word.
    """

    def __init__(self, model: str, now: Callable[[], float], new_id: Callable[[str], str]) -> None:
        super().__init__(new_id)
        self._session: Event = {
            "type": "translation",
            "id": new_id("sess"),
            "model": model,
            "expires_at": int(now()) + LIFETIME,
            "audio": {
                "input": {"transcription": None, "noise_reduction": None},
                "output": {"language": None},
            },
        }
        self._buffer = bytearray()
        self._translated = 0
        self._closing = False
        self._closed = False

    @property
    def speaking(self) -> bool:
        """Whether a frame is whole, or no other will come."""
        return len(self._buffer) >= FRAME or (self._closing and not self._closed)

    @property
    def ended(self) -> bool:
        """Whether C{session.closed} is said."""
        return self._closed

    def opening(self) -> list[Event]:
        """The event that starts the session."""
        return self._stamped([{"type": "session.created", "session": self._session}])

    def advance(self) -> list[Event]:
        """The translation of one frame; behind the last, the end of the session."""
        if not self.speaking:
            return []
        if not self._buffer:
            self._closed = True
            return self._stamped([{"type": "session.closed"}])
        frame = bytes(self._buffer[:FRAME])
        del self._buffer[:FRAME]
        self._translated += 1
        return self._stamped(self._frame(frame))

    def _frame(self, frame: bytes) -> list[Event]:
        elapsed = {"elapsed_ms": self._translated * FRAME_MS}
        events: list[Event] = []
        if any(frame):
            word = {"delta": f"({self._translated * FRAME_MS / 1000:.1f} s) ", **elapsed}
            if self._session["audio"]["input"]["transcription"] is not None:
                events.append({"type": "session.input_transcript.delta", **word})
            events.append({"type": "session.output_transcript.delta", **word})
        sound = {"sample_rate": RATE, "channels": 1, "format": "pcm16", **elapsed}
        return [*events, {"type": "session.output_audio.delta", "delta": base64(frame), **sound}]

    def _update(self, event: Event) -> list[Event]:
        changes = CHANGES(fields.required(event, "session", dict), "session")
        audio = self._session["audio"]
        merged = {side: {**audio[side], **changes.get("audio", {}).get(side, {})} for side in audio}
        self._session = {**self._session, "audio": merged}
        return [{"type": "session.updated", "session": self._session}]

    def _append(self, event: Event) -> list[Event]:
        samples = fields.audio(event, "audio")
        if len(self._buffer) + len(samples) > MAX_BUFFER:
            message = f"Wait for the translation: {MAX_BUFFER} bytes of audio are waiting for it."
            raise ClientError("input_audio_buffer_full", message, "audio")
        if not self._closing:
            self._buffer += samples
        return []

    def _close(self, event: Event) -> list[Event]:
        self._closing = True
        return []

    answers: ClassVar[Answers] = {
        "session.update": _update,
        "session.input_audio_buffer.append": _append,
        "session.close": _close,
    }
