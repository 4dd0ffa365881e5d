"""
The transcription of what the client says.
"""

from __future__ import annotations

import re
from math import ceil
from typing import Any

from relay.simulator.audio import Format
from relay.simulator.fields import Event
from relay.simulator.shapes import Shape, array, one_of, table, text
from relay.simulator.utterances import audio_tokens, text_tokens, words_for

TRANSCRIPTION: Shape = table(
    {
        "model": text,
        "language": text,
        "languages": array(text),
        "prompt": text,
        "keywords": array(text),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    }
)
"""What C{audio.input.transcription} may be."""


def transcribed(
    item_id: str, audio: bytes, form: Format, model: str, logprobs: bool
) -> list[Event]:
    """
    The events that transcribe an item's audio, which is its first content part.

    @param model: the transcription's model, which decides how usage is counted.
    @param logprobs: whether each event tells the logarithms of the tokens' probabilities.
    """
    said = words_for(len(audio), form.bytes_per_second)
    whisper = "whisper" in model
    pieces = [said] if whisper else re.findall(r"\s*\S+", said)
    about: Event = {"item_id": item_id, "content_index": 0}

    def event(kind: str, words: list[str], **more: Any) -> Event:
        sure = {"logprobs": list(map(_certain, words))} if logprobs and not whisper else {}
        return {
            "type": f"conversation.item.input_audio_transcription.{kind}",
            **about,
            **more,
            **sure,
        }

    usage = _duration(len(audio), form) if whisper else _tokens(len(audio), said, form)
    return [
        *(event("delta", [piece], delta=piece) for piece in pieces),
        event("completed", pieces, transcript=said, usage=usage),
    ]


def _certain(word: str) -> Event:
    return {"token": word, "bytes": list(word.encode()), "logprob": 0.0}


def _duration(size: int, form: Format) -> Event:
    return {"type": "duration", "seconds": ceil(size / form.bytes_per_second)}


def _tokens(size: int, said: str, form: Format) -> Event:
    heard, told = audio_tokens(size, form.bytes_per_second, 10), text_tokens(said)
    return {
        "type": "tokens",
        "total_tokens": heard + told,
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": told,
    }
