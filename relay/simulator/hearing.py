"""
The input audio buffer: what the client appended, and where in it somebody speaks.
"""

from __future__ import annotations

from attrs import Factory, define, frozen

from relay.simulator.audio import FORMATS, FRAME_MS, Format, loudness
from relay.simulator.fields import ClientError, Event
from relay.simulator.vad import ONSET_FRAMES, Detector, sensitivity

MAX_BUFFER = 32 * 1024 * 1024
"""Most bytes of audio that wait for a commit."""

QUIET_MS = 10_000
"""Milliseconds of audio without speech that turn detection keeps; it may be twice as much."""


@frozen
class Started:
    """Speech started, C{at_ms} after the session's first audio."""

    at_ms: int


@frozen
class Stopped:
    """Speech stopped, C{at_ms} after the session's first audio; C{audio} is all of it."""

    at_ms: int
    audio: bytes


@frozen
class Idle:
    """Nobody spoke from C{since_ms} to C{at_ms}; C{audio} is what came meanwhile."""

    since_ms: int
    at_ms: int
    audio: bytes


Mark = Started | Stopped | Idle
"""What turn detection finds."""


@define
class InputAudio:
    """
    Audio that waits for a commit, of the client or of turn detection.

    All times are of the audio itself: it is as late as there is audio.
    """

    form: Format = FORMATS["audio/pcm"]
    _samples: bytearray = Factory(bytearray)
    _past_ms: int = 0
    _past: int = 0
    _scanned: int = 0
    _detector: Detector = Factory(Detector)
    _idle_since: int | None = None

    @property
    def now_ms(self) -> int:
        """Milliseconds of all audio of the session up to now."""
        return self._began_ms(len(self._samples))

    def _began_ms(self, ahead: int = 0) -> int:
        return self._past_ms + self.form.milliseconds(self._past + ahead)

    def append(self, samples: bytes) -> None:
        """
        Put audio behind the rest.

        @raise ClientError: if there is no room.
        """
        if len(self._samples) + len(samples) > MAX_BUFFER:
            message = f"Commit or clear the buffer: it holds {MAX_BUFFER} bytes at most."
            raise ClientError("input_audio_buffer_full", message, "audio")
        self._samples += samples

    def take(self) -> bytes:
        """All audio there is. Then the buffer is empty, and nobody speaks."""
        self._detector = Detector()
        return self._cut(len(self._samples))

    def restart(self, form: Format) -> None:
        """
        Look for speech from now on only.

        @param form: what the client sends from now on. Audio of another format is forgotten.
        """
        self._detector = Detector()
        # Whole samples, or the loudness of what follows is that of noise.
        self._scanned = len(self._samples) // form.width * form.width
        if form != self.form:
            self._past_ms, self._past = self.now_ms, 0
            self._samples.clear()
            self._scanned, self.form = 0, form

    def silent_in(self, milliseconds: int | None) -> None:
        """
        Count the time that nobody speaks from so many milliseconds on.

        @param milliseconds: L{None} counts nothing, for an answer is being said.
        """
        self._idle_since = None if milliseconds is None else self.now_ms + milliseconds

    def scan(self, detection: Event) -> Mark | None:
        """
        Look at what was not looked at yet, up to the next mark.

        @param detection: C{turn_detection} of the session.
        @return: L{None} if there are no more marks.
        """
        wanted = sensitivity(detection)
        size = self.form.size(FRAME_MS)
        while self._scanned + size <= len(self._samples):
            frame = bytes(self._samples[self._scanned : self._scanned + size])
            self._scanned += size
            change = self._detector.hear(
                loudness(frame, self.form) >= wanted.level, wanted.silence_ms
            )
            if change == "started":
                return self._started(wanted.padding_ms)
            if change == "stopped":
                return self._stopped()
        self._forget()
        return self._idle(detection.get("idle_timeout_ms"))

    def _started(self, padding_ms: int) -> Started:
        self._idle_since = None
        before = self.form.size(ONSET_FRAMES * FRAME_MS + padding_ms)
        self._cut(max(0, self._scanned - before))
        return Started(self._began_ms())

    def _stopped(self) -> Stopped:
        audio = self._cut(self._scanned)
        return Stopped(self._began_ms(), audio)

    def _idle(self, timeout_ms: int | None) -> Idle | None:
        since = self._idle_since
        if timeout_ms is None or since is None or self.now_ms - since < timeout_ms:
            return None
        self._idle_since = None
        return Idle(since, self.now_ms, self.take())

    def _forget(self) -> None:
        # In big steps, for each moves all that is kept.
        kept = self.form.size(QUIET_MS)
        if not self._detector.speaking and len(self._samples) > 2 * kept:
            self._cut(len(self._samples) - kept)

    def _cut(self, size: int) -> bytes:
        audio = bytes(self._samples[:size])
        del self._samples[:size]
        self._past += size
        self._scanned = max(0, self._scanned - size)
        return audio
