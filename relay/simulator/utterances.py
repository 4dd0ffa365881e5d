"""
What an answer consists of: audio, text or a function call, piece by piece.
"""

from __future__ import annotations

from bisect import bisect_right
from math import ceil
from typing import Protocol

from attrs import define

from relay.simulator.audio import Format
from relay.simulator.fields import Event
from relay.simulator.items import base64

AUDIO_DELTA = 12 * 1024
"""Bytes of audio in one delta: 16 KiB in base64."""

TEXT_DELTA = 64
"""Characters of text in one delta."""

NOTHING_TO_SAY = "I only repeat what I hear, and I have heard nothing yet."
"""The answer to a client that has said nothing."""


def text_tokens(text: str) -> int:
    """About how many tokens a model would count for text: one for four characters."""
    return ceil(len(text) / 4)


def audio_tokens(size: int, bytes_per_second: int, tokens_per_second: int) -> int:
    """
    How many tokens a model would count for audio.

    @param size: in bytes.
    """
    return ceil(size * tokens_per_second / bytes_per_second)


def words_for(size: int, bytes_per_second: int) -> str:
    """
    The transcript of audio. The simulator understands no speech, so it tells how long it was.

    @param size: in bytes.
    """
    return f"({size / bytes_per_second:.2f} s of your own audio)" if size else ""


def input_token_details(seconds: float, text: str) -> Event:
    """
    What the client said, as C{usage} shows it.

    @param seconds: how long its audio was.
    """
    return {
        "audio_tokens": ceil(seconds * 10),
        "text_tokens": text_tokens(text),
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"audio_tokens": 0, "text_tokens": 0, "image_tokens": 0},
    }


class Utterance(Protocol):
    """
    What an answer consists of: L{Speech}, L{Text} or L{FunctionCall}.

    @ivar audio: all audio that it says, if it says any.
    @ivar sent: how much of it was said so far, in bytes or characters.
    """

    audio: bytes
    sent: int

    @property
    def size(self) -> int:
        """All there is to say, in bytes or characters."""

    def delta(self, end: int) -> list[Event]:
        """Say the next piece, up to C{end} at most."""

    def ending(self) -> list[Event]:
        """The events that end it, whether all of it was said or not."""

    def part(self) -> Event | None:
        """What was said so far, as C{response.content_part.done} shows it; none for a call."""

    def item(self) -> Event:
        """What was said so far, as the fields of an item."""

    def tokens_at(self, sent: int) -> Event:
        """What is said when so much was said, as C{output_token_details}."""


def total_tokens(utterance: Utterance, sent: int) -> int:
    """All tokens when so much was said."""
    return sum(utterance.tokens_at(sent).values())


def within_tokens(utterance: Utterance, most: int | str) -> int:
    """How much can be said with so many tokens; all of it with C{inf}."""
    if isinstance(most, str) or total_tokens(utterance, utterance.size) <= most:
        return utterance.size
    # Audio ends behind a whole sample.
    sizes = range(0, utterance.size + 1, 2 if utterance.audio else 1)
    return sizes[bisect_right(sizes, most, key=lambda sent: total_tokens(utterance, sent)) - 1]


def message(*content: Event) -> Event:
    """The fields of an item of the assistant's."""
    return {"type": "message", "role": "assistant", "content": list(content)}


@define
class Speech:
    """
    The client's audio, said back; or text, read aloud.

    @ivar audio: all audio to say.
    @ivar form: the format of the audio.
    @ivar text: the text that is read; L{None} if it is the client's own audio.
    @ivar told: how many characters of the transcript were sent so far.
    """

    audio: bytes
    form: Format
    text: str | None = None
    sent: int = 0
    told: int = 0

    @property
    def size(self) -> int:
        return len(self.audio)

    def delta(self, end: int) -> list[Event]:
        piece = self.audio[self.sent : min(end, self.sent + AUDIO_DELTA)]
        self.sent += len(piece)
        # How long the client's own audio was is known at the end only.
        words = [] if self.text is None else self._words()
        return [*words, {"type": "response.output_audio.delta", "delta": base64(piece)}]

    def _words(self) -> list[Event]:
        more = self.transcript(self.sent)[self.told :]
        self.told += len(more)
        return [{"type": "response.output_audio_transcript.delta", "delta": more}] if more else []

    def transcript(self, sent: int) -> str:
        """The transcript when so much was said."""
        if self.text is None:
            return words_for(sent, self.form.bytes_per_second)
        return self.text if sent >= self.size else self.text[: len(self.text) * sent // self.size]

    def ending(self) -> list[Event]:
        said = self.transcript(self.sent)
        return [
            *self._words(),
            {"type": "response.output_audio_transcript.done", "transcript": said},
            {"type": "response.output_audio.done"},
        ]

    def part(self) -> Event | None:
        return {"type": "audio", "transcript": self.transcript(self.sent)}

    def item(self) -> Event:
        return message({"type": "output_audio", "transcript": self.transcript(self.sent)})

    def tokens_at(self, sent: int) -> Event:
        heard = audio_tokens(sent, self.form.bytes_per_second, 20)
        return {"audio_tokens": heard, "text_tokens": text_tokens(self.transcript(sent))}


@define
class Text:
    """
    Text, said as it is.

    @ivar text: all text to say.
    """

    text: str
    sent: int = 0
    audio: bytes = b""

    @property
    def size(self) -> int:
        return len(self.text)

    def delta(self, end: int) -> list[Event]:
        piece = self.text[self.sent : min(end, self.sent + TEXT_DELTA)]
        self.sent += len(piece)
        return [{"type": "response.output_text.delta", "delta": piece}]

    def ending(self) -> list[Event]:
        return [{"type": "response.output_text.done", "text": self.text[: self.sent]}]

    def part(self) -> Event | None:
        return {"type": "text", "text": self.text[: self.sent]}

    def item(self) -> Event:
        return message({"type": "output_text", "text": self.text[: self.sent]})

    def tokens_at(self, sent: int) -> Event:
        return {"audio_tokens": 0, "text_tokens": text_tokens(self.text[:sent])}


@define
class FunctionCall:
    """
    A function call.

    @ivar call_id: what C{function_call_output} names.
    @ivar name: the name of the function.
    @ivar arguments: its arguments, as JSON.
    """

    call_id: str
    name: str
    arguments: str
    sent: int = 0
    audio: bytes = b""

    @property
    def size(self) -> int:
        return len(self.arguments)

    def delta(self, end: int) -> list[Event]:
        piece = self.arguments[self.sent : min(end, self.sent + TEXT_DELTA)]
        self.sent += len(piece)
        about = {"call_id": self.call_id, "delta": piece}
        return [{"type": "response.function_call_arguments.delta", **about}]

    def ending(self) -> list[Event]:
        about = {"call_id": self.call_id, "name": self.name, "arguments": self._said()}
        return [{"type": "response.function_call_arguments.done", **about}]

    def _said(self) -> str:
        return self.arguments[: self.sent]

    def part(self) -> Event | None:
        return None

    def item(self) -> Event:
        about = {"call_id": self.call_id, "name": self.name, "arguments": self._said()}
        return {"type": "function_call", **about}

    def tokens_at(self, sent: int) -> Event:
        return {"audio_tokens": 0, "text_tokens": text_tokens(self.arguments[:sent])}
