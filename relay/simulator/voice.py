"""
A voice for text: a beep for each letter, and a pause for each space.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from math import pi, sin
from zlib import crc32

from relay.simulator.audio import Format, encoded

CHARACTER_MS = 60
"""Milliseconds of a character, which is about as fast as people speak."""

LONGEST = 1_500
"""Most characters that are spoken: a minute and a half. The transcript has the others too."""

_LOUDNESS = 8_000
_FADE = 0.1


def _pitch(voice: str, character: str) -> int:
    # Hertz: each voice has a tone of its own, which each letter moves.
    return 220 + crc32(voice.encode("utf-8", "replace")) % 8 * 30 + ord(character) % 12 * 15


@lru_cache(maxsize=512)
def _beep(hertz: int, form: Format) -> bytes:
    count = form.rate * CHARACTER_MS // 1000
    # Fading in and out, so that there is no click.
    envelope = (min(1.0, at / count / _FADE, (count - at) / count / _FADE) for at in range(count))
    turn = 2 * pi * hertz / form.rate
    samples = (round(_LOUDNESS * level * sin(turn * at)) for at, level in enumerate(envelope))
    return encoded(array("h", samples), form)


@lru_cache(maxsize=8)
def _pause(form: Format) -> bytes:
    return encoded(array("h", bytes(2 * (form.rate * CHARACTER_MS // 1000))), form)


def spoken(text: str, form: Format, voice: str) -> bytes:
    """
    The audio of text: L{CHARACTER_MS} for each character, L{LONGEST} characters at most.

    @param voice: the name of the voice, which decides the pitch.
    """
    return b"".join(
        _beep(_pitch(voice, each), form) if each.isalnum() else _pause(form)
        for each in text[:LONGEST]
    )
