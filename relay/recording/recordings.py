"""Which sessions are recorded, and how what crosses them gets into their files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from relay.config.settings import Settings
from relay.lifecycle.register import Register
from relay.recording.files import name_of
from relay.recording.lines import Closed, Closer, Cut, Header, Message
from relay.recording.recorder import Recorder
from relay.recording.session_file import Place, SessionFile
from relay.recording.worker import Worker
from relay.session.glance import BEGINNING, type_of
from relay.session.session import Session
from relay.telemetry.crossings import Sender
from relay.telemetry.records import ClosedRecord, HoldRecord, RecordingOutcome, RelayListener
from relay.timing.clock import utc

_log = Logger()

COST = 256
"""Bytes of memory of a message that waits, besides its payload."""

LARGEST_PAYLOAD = 2 * 2**20
"""
Bytes. A larger message goes without its payload, because all sessions would wait until its line is
made: Python makes a string in one go, whatever the thread.
"""

SLOW = "the disk was too slow"

_CLOSERS: dict[str, Closer] = {"downstream": "client", "upstream": "upstream", "relay": "relay"}


def header_of(hold: HoldRecord, payloads: bool) -> Header:
    """The first line of a session's file."""
    return Header(
        relay=version("realtime-relay"),
        began=utc(),
        id=hold.request_id,
        path=hold.path,
        model=hold.model,
        subject=hold.subject,
        upstream=hold.upstream,
        payloads=payloads,
    )


class RecordedSession:
    """
    One session whose file is written: tells the writing thread what crosses.

    @param stop: has the session show its messages no more.
    """

    def __init__(
        self, session: Session, file: SessionFile, worker: Worker, seconds: Callable[[], float]
    ) -> None:
        self._began = session.began
        self._file = file
        self._worker = worker
        self._seconds = seconds
        self.stop: Callable[[], object] = _nothing
        worker.do(file.begin)

    def seen(self, sender: Sender, beginning: bytes, size: int, is_binary: bool) -> None:
        """A message is crossing."""
        if sender == "relay":  # which no upstream would say again
            return
        if self._file.is_over:
            self.stop()
            return
        at = self._seconds() - self._began
        message = Message(at, sender, None, size, beginning, is_binary)
        if not self._worker.do(partial(self._file.crossed, message), len(beginning) + COST):
            self._worker.do(partial(self._file.end, Cut(at, SLOW)))
            self.stop()

    def closed(self, record: ClosedRecord) -> None:
        """The session is over."""
        end = Closed(record.seconds, _CLOSERS[record.closed_by], record.close_code)
        self._worker.do(partial(self._file.end, end))


def _nothing() -> None:
    """Stands in until the session shows its messages."""


class Recordings(RelayListener):
    """
    Records sessions of one relay, as the settings say that they began with.

    @param reactor: what it is told by, from its thread.
    """

    def __init__(self, register: Register, reactor: Any) -> None:
        self._register = register
        self._reactor = reactor
        self._worker = Worker()
        self._open: dict[int, RecordedSession] = {}  # by the identity of the hold's record
        self._told = False
        register.listen(self)

    def begin(self, session: Session, secrets: Collection[str], settings: Settings) -> None:
        """
        Record a session in which nothing has crossed yet, if the settings want that. An exception
        is logged, and does not hinder the session.
        """
        try:
            if settings.record is not None and is_chosen(session.hold, settings):
                self._begin(session, secrets, settings, Path(settings.record))
        except Exception:
            _log.failure("session {id} is not recorded", id=session.hold.request_id)

    def _begin(
        self, session: Session, secrets: Collection[str], settings: Settings, folder: Path
    ) -> None:
        hold = session.hold
        header = header_of(hold, settings.record_payloads)
        place = Place(folder, name_of(header.began, header.id), settings.record_files)
        recorder = Recorder(header, settings.record_bytes, secrets, type_of)
        file = SessionFile(place, recorder, partial(self._from_thread, hold))
        recorded = RecordedSession(session, file, self._worker, self._reactor.seconds)
        self._open[id(hold)] = recorded
        most = LARGEST_PAYLOAD if settings.record_payloads else BEGINNING
        recorded.stop = session.show(recorded.seen, most)

    def closed(self, record: ClosedRecord) -> None:
        """The session is over: end its file."""
        recorded = self._open.pop(id(record.hold), None)
        if recorded is not None:
            recorded.closed(record)

    def flush(self, seconds: float) -> None:
        """Wait until all is written, but no longer than this."""
        if not self._worker.flush(seconds):
            _log.warn("what was recorded last could not be written in time")

    def _from_thread(self, hold: HoldRecord, outcome: RecordingOutcome, why: str) -> None:
        self._reactor.callFromThread(self._done, hold, outcome, why)

    def _done(self, hold: HoldRecord, outcome: RecordingOutcome, why: str) -> None:
        """Tell of a failure once, until a file could be written again."""
        if why and not self._told:
            _log.warn("session {id} is not recorded: {why}", id=hold.request_id, why=why)
        self._told = bool(why)
        self._register.recorded(hold, outcome)


def is_chosen(hold: HoldRecord, settings: Settings) -> bool:
    """Whether the settings choose this session."""
    return not settings.record_subjects or hold.subject in settings.record_subjects
