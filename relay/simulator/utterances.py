"""
What an answer consists of: the client's own audio or text, piece by piece.
"""

from __future__ import annotations

from math import ceil
from typing import Protocol

from attrs import define

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


def input_token_details(audio: bytes, text: str, bytes_per_second: int) -> Event:
    """What the client said, as C{usage} shows it."""
    return {
        "audio_tokens": audio_tokens(len(audio), bytes_per_second, 10),
        "text_tokens": text_tokens(text),
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"audio_tokens": 0, "text_tokens": 0, "image_tokens": 0},
    }


class Utterance(Protocol):
    """What an answer consists of: L{Speech} or L{Text}."""

    modality: str

    @property
    def finished(self) -> bool:
        """Whether L{delta} has said all of it."""

    def delta(self) -> Event:
        """Say the next piece."""

    def ending(self) -> list[Event]:
        """The events that end it, whether all of it was said or not."""

    def part(self) -> Event:
        """What was said so far, as C{response.content_part.done} shows it."""

    def content(self) -> Event:
        """What was said so far, as an item's content shows it."""

    def samples(self) -> bytes:
        """The audio said so far."""

    def tokens(self) -> Event:
        """What was said so far, as C{output_token_details}."""


@define
class Speech:
    """
    The client's audio, said back.

    @ivar audio: all audio to say.
    @ivar bytes_per_second: the rate of the audio.
    @ivar sent: how many bytes were said so far.
    """

    audio: bytes
    bytes_per_second: int
    sent: int = 0
    modality: str = "audio"

    @property
    def finished(self) -> bool:
        return self.sent >= len(self.audio)

    def delta(self) -> Event:
        piece = self.audio[self.sent : self.sent + AUDIO_DELTA]
        self.sent += len(piece)
        return {"type": "response.output_audio.delta", "delta": base64(piece)}

    def transcript(self) -> str:
        """The transcript of what was said so far."""
        return words_for(self.sent, self.bytes_per_second)

    def ending(self) -> list[Event]:
        said = self.transcript()
        return [
            {"type": "response.output_audio_transcript.delta", "delta": said},
            {"type": "response.output_audio_transcript.done", "transcript": said},
            {"type": "response.output_audio.done"},
        ]

    def part(self) -> Event:
        return {"type": "audio", "transcript": self.transcript()}

    def content(self) -> Event:
        return {"type": "output_audio", "transcript": self.transcript()}

    def samples(self) -> bytes:
        return self.audio[: self.sent]

    def tokens(self) -> Event:
        heard = audio_tokens(self.sent, self.bytes_per_second, 20)
        return {"audio_tokens": heard, "text_tokens": text_tokens(self.transcript())}


@define
class Text:
    """
    The client's text, said back.

    @ivar text: all text to say.
    @ivar sent: how many characters were said so far.
    """

    text: str
    sent: int = 0
    modality: str = "text"

    @property
    def finished(self) -> bool:
        return self.sent >= len(self.text)

    def delta(self) -> Event:
        piece = self.text[self.sent : self.sent + TEXT_DELTA]
        self.sent += len(piece)
        return {"type": "response.output_text.delta", "delta": piece}

    def ending(self) -> list[Event]:
        return [{"type": "response.output_text.done", "text": self.text[: self.sent]}]

    def part(self) -> Event:
        return {"type": "text", "text": self.text[: self.sent]}

    def content(self) -> Event:
        return {"type": "output_text", "text": self.text[: self.sent]}

    def samples(self) -> bytes:
        return b""

    def tokens(self) -> Event:
        return {"audio_tokens": 0, "text_tokens": text_tokens(self.text[: self.sent])}


def parroted(audio: bytes, text: str, bytes_per_second: int, modality: str) -> Utterance:
    """
    The answer to what the client said.

    @param audio: all the client's audio. If there is any, C{text} is not answered.
    @param text: the text of the client's last item. It is answered as text.
    @param modality: how audio is answered: C{audio} or C{text}.
    """
    if audio and modality == "audio":
        return Speech(audio, bytes_per_second)
    return Text(words_for(len(audio), bytes_per_second) or text or NOTHING_TO_SAY)
