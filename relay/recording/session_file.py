"""The file of one session, as the thread that writes it has it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from relay.recording.files import NoRoom, create, write
from relay.recording.lines import Closed, Cut, Message
from relay.recording.recorder import Recorder
from relay.telemetry.records import RecordingOutcome

Done = Callable[[RecordingOutcome, str], object]
"""Is told once what became of the file; and why, in a line, if it failed."""


@frozen
class Place:
    """
    Where the file is to be.

    @ivar files: recordings that the folder may hold.
    """

    folder: Path
    name: str
    files: int


class SessionFile:
    """
    Writes what a L{Recorder} makes. A file that cannot be written is given up: what it has stays.

    @ivar is_over: whether nothing more will be written. Any thread may ask.
    """

    def __init__(self, place: Place, recorder: Recorder, done: Done) -> None:
        self.is_over = False
        self._place = place
        self._recorder = recorder
        self._done = done
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Make the file."""
        place = self._place
        try:
            self._descriptor = create(place.folder, place.name, place.files)
        except NoRoom as full:
            self._finish("failed", str(full))
        except OSError as error:
            self._finish("failed", f"{place.folder}: {error.strerror}")
        else:
            self._write(self._recorder.begin())

    def crossed(self, message: Message) -> None:
        """Write a message."""
        if not self.is_over:
            self._write(self._recorder.crossed(message))

    def end(self, end: Closed | Cut) -> None:
        """Write how it ends."""
        if not self.is_over:
            self._write(self._recorder.end(end))

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None, "it is over without one"
        try:
            write(self._descriptor, data)
        except OSError as error:
            self._finish("failed", f"{self._place.folder}: {error.strerror}")
            return
        if self._recorder.is_over:
            self._finish("whole" if self._recorder.is_whole else "cut", "")

    def _finish(self, outcome: RecordingOutcome, why: str) -> None:
        self.is_over = True
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        self._done(outcome, why)
