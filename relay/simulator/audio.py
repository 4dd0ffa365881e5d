"""
The audio formats of a session: how long and how loud audio is, and how one becomes another.

G.711 is ITU-T's: 8,000 samples a second, of 8 bits each, by the mu-law or the A-law.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import gcd
from sys import byteorder

from attrs import frozen

FRAME_MS = 20
"""Milliseconds of audio that one measure of loudness is about."""

_MEASURED_RATE = 8_000
"""Samples a second that tell well enough how loud audio is."""

_CHUNK_MS = 30


@frozen
class Format:
    """
    An audio format.

    @ivar name: C{session.audio}'s name of it.
    @ivar rate: samples a second.
    @ivar width: bytes a sample.
    """

    name: str
    rate: int
    width: int

    @property
    def bytes_per_second(self) -> int:
        """Bytes of audio a second."""
        return self.rate * self.width

    def size(self, milliseconds: int) -> int:
        """Bytes of so many milliseconds."""
        return milliseconds * self.bytes_per_second // 1000

    def milliseconds(self, size: int) -> int:
        """Whole milliseconds of so many bytes."""
        return size * 1000 // self.bytes_per_second


FORMATS = {
    each.name: each
    for each in (
        Format("audio/pcm", 24_000, 2),
        Format("audio/pcmu", 8_000, 1),
        Format("audio/pcma", 8_000, 1),
    )
}


def _from_mu_law(code: int) -> int:
    code ^= 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _from_a_law(code: int) -> int:
    code ^= 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + (0x108 if segment else 8)
    magnitude <<= max(0, segment - 1)
    return magnitude if code & 0x80 else -magnitude


DECODED = {
    "audio/pcmu": [_from_mu_law(code) for code in range(256)],
    "audio/pcma": [_from_a_law(code) for code in range(256)],
}
"""A G.711 format to the samples of its 256 codes, of 16 bits each."""


def loudness(frame: bytes, form: Format) -> float:
    """
    The mean magnitude of a frame: 0.0 for silence, 1.0 for the loudest there is. What does not
    change within the frame is no sound, though some microphones have it in all they send.

    @param frame: L{FRAME_MS} of audio.
    """
    if form.name == "audio/pcm":
        samples: Sequence[int] = _measured(form.rate).unpack(frame)
    else:
        samples = [*map(DECODED[form.name].__getitem__, frame)]
    middle = sum(samples) / len(samples)
    return sum(abs(sample - middle) for sample in samples) / len(samples) / 32_768


@cache
def _measured(rate: int) -> struct.Struct:
    # Of the samples of a frame of PCM those to measure; the bytes of the others are skipped.
    skipped = 2 * (rate // _MEASURED_RATE - 1)
    return struct.Struct("<" + f"h{skipped}x" * (_MEASURED_RATE * FRAME_MS // 1000))


@cache
def _codes(name: str) -> bytes:
    # The nearest code of each sample, read as unsigned, at the 13 bits that G.711 has at most.
    codes = sorted(range(256), key=DECODED[name].__getitem__)
    levels = [DECODED[name][code] for code in codes]
    middles = [(low + high) / 2 for low, high in pairwise(levels)]
    steps = (codes[bisect_left(middles, step * 8 + 4)] for step in range(-4096, 4096))
    nearest = b"".join(bytes((code,)) * 8 for code in steps)
    return nearest[0x8000:] + nearest[:0x8000]


def encoded(samples: array[int], form: Format) -> bytes:
    """
    Samples of 16 bits as bytes.

    @param samples: at the format's own rate.
    """
    if form.name == "audio/pcm":
        return _little_endian(samples).tobytes()
    return bytes(map(_codes(form.name).__getitem__, array("H", samples.tobytes())))


def decoded(audio: bytes, form: Format) -> array[int]:
    """The samples of audio, of 16 bits each; half a sample at the end is left out."""
    if form.name != "audio/pcm":
        return array("h", map(DECODED[form.name].__getitem__, audio))
    return _little_endian(array("h", audio[: len(audio) // 2 * 2]))


def _little_endian(samples: array[int]) -> array[int]:
    """Samples of this machine's byte order in PCM's, and the other way round."""
    if byteorder == "little":
        return samples
    swapped = samples[:]
    swapped.byteswap()
    return swapped


def converted(audio: bytes, source: Format, target: Format) -> bytes:
    """Audio of one format in another, which sounds about the same."""
    if source == target:
        return audio
    samples = decoded(audio, source)
    if source.rate != target.rate:
        samples = _resampled(samples, source.rate, target.rate)
    return encoded(samples, target)


def _resampled(samples: array[int], source: int, target: int) -> array[int]:
    """For each sample at the rate C{target} the one at C{source} that sounds at that time."""
    common = gcd(source, target)
    step, phases = source // common, target // common
    found = array("h", bytes(2 * (len(samples) * target // source)))
    # By slices, because a long buffer would keep the reactor for seconds sample by sample.
    for phase in range(phases):
        size = len(range(phase, len(found), phases))
        found[phase::phases] = samples[phase * step // phases :: step][:size]
    return found


def at_speed(audio: bytes, form: Format, speed: float) -> bytes:
    """
    Audio that is said faster or slower, at the same pitch: of each short piece a part is left out,
    or said again.

    @param speed: 0.25 to 1.5.
    """
    if speed == 1:
        return audio
    chunk = form.size(_CHUNK_MS)
    pieces = (audio[start : start + chunk] for start in range(0, len(audio), chunk))
    return b"".join(_stretched(piece, form.width, speed) for piece in pieces)


def _stretched(piece: bytes, width: int, speed: float) -> bytes:
    return (piece * 4)[: round(len(piece) / speed) // width * width]
