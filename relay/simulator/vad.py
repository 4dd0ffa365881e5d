"""
Voice activity detection by loudness, frame by frame.
"""

from __future__ import annotations

from typing import Literal

from attrs import define, frozen

from relay.simulator.audio import FRAME_MS
from relay.simulator.fields import Event

ONSET_FRAMES = 3
"""Loud frames in a row that are speech. A click is shorter."""

SILENCE_MS = {"high": 500, "medium": 1_000, "auto": 1_000, "low": 2_000}
"""
The eagerness of C{semantic_vad} to the milliseconds of silence that end a turn. The simulator
understands no words, so silence is all that it goes by.
"""


@frozen
class Sensitivity:
    """
    What counts as speech.

    @ivar level: the loudness that a frame of speech has at least, from 0.0 to 1.0.
    @ivar padding_ms: milliseconds before the speech that belong to it.
    @ivar silence_ms: milliseconds without speech that end it.
    """

    level: float
    padding_ms: int
    silence_ms: int


def sensitivity(detection: Event) -> Sensitivity:
    """
    The sensitivity that C{turn_detection} asks for.

    A C{threshold} of 0.0 is 60 dB below the loudest there is, 0.5 is 40 dB, and 1.0 is 20 dB.
    """
    level: float = 10 ** (2 * detection.get("threshold", 0.5) - 3)
    padding = detection.get("prefix_padding_ms", 300)
    if detection["type"] == "semantic_vad":
        return Sensitivity(level, padding, SILENCE_MS[detection["eagerness"]])
    return Sensitivity(level, padding, detection["silence_duration_ms"])


@define
class Detector:
    """
    Tells where speech starts and stops.

    @ivar speaking: whether there is speech now.
    """

    speaking: bool = False
    _run: int = 0

    def hear(self, loud: bool, silence_ms: int) -> Literal["started", "stopped"] | None:
        """
        Take the next frame.

        @return: C{"started"} at the last of L{ONSET_FRAMES} loud frames, C{"stopped"} at the end of
            so much silence.
        """
        # A run is of loud frames before speech, and of quiet ones within it.
        self._run = self._run + 1 if loud != self.speaking else 0
        if not self.speaking and self._run == ONSET_FRAMES:
            self.speaking, self._run = True, 0
            return "started"
        if self.speaking and self._run and self._run * FRAME_MS >= silence_ms:
            self.speaking, self._run = False, 0
            return "stopped"
        return None
