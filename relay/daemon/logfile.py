"""
The log's file, and the thread that writes it, so that logging a line never waits.

Otherwise a pipe that is not read, or a disk that is slow or full, would stop the reactor.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import sleep, time
from typing import Protocol

from twisted.logger import ILogObserver, Logger, LogLevel

_log = Logger()

WAITING = 4 * 1024 * 1024
"""Characters that may wait to be written; as many again may be in the thread's hands."""

RETRY_SECONDS = 1.0
"""Seconds from a write that failed to the next try."""

GATHER_SECONDS = 0.02
"""
Seconds from the first line that waits to the write, so that there are at most fifty writes a
second. Each write wakes a thread, which costs as much as to make a line.
"""

END_SECONDS = 1.0
"""Seconds that the process's end waits for the last lines."""

UNREAD = "nobody read the log"

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC


class Writable(Protocol):
    """What log lines are written to."""

    def write(self, text: str, /) -> object:
        """Take the text, which ends with a newline."""


class WatchedFile:
    """
    A file that another program rotates. When its path names another file, or none, it is opened
    anew, as C{logging.handlers.WatchedFileHandler} does.

    It is opened for appending. So if it is copied and truncated, writing goes on at its new end.
    Twisted's C{LogFile} would go on at the old place, behind a hole.
    """

    def __init__(self, path: str) -> None:
        """
        @param path: if relative, it is resolved now, before a daemon changes its folder.
        @raise OSError: if the file can neither be opened nor created.
        """
        self._path = os.path.abspath(path)
        self._fd = os.open(self._path, _FLAGS | os.O_CREAT, 0o666)
        self._is_lost = False

    def descriptor(self) -> int:
        """
        The descriptor of the file that the path names now. If that cannot be opened, it is the old
        file's, wherever it was moved, and an error is logged.
        """
        if not self._is_there():
            self._reopen()
        return self._fd

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except OSError:
            return False

    def _reopen(self) -> None:
        try:
            fd = self._opened_anew()
        except OSError as error:
            if not self._is_lost:
                self._is_lost = True
                text = "cannot open {path} anew: {reason}; the log goes on in the old file"
                _log.error(text, path=self._path, reason=error.strerror)
            return
        os.close(self._fd)
        self._fd, self._is_lost = fd, False

    def _opened_anew(self) -> int:
        try:
            return os.open(self._path, _FLAGS)
        except FileNotFoundError:
            mode = stat.S_IMODE(os.fstat(self._fd).st_mode)
            fd = os.open(self._path, _FLAGS | os.O_CREAT, mode)
            os.fchmod(fd, mode)  # else a daemon's umask may hide it from readers of the old file
            return fd

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LogWriter:
    """
    Takes lines without waiting, and writes them in order, in a thread of its own. While more than
    L{WAITING} characters wait, further lines are dropped. The next write then tells how many.

    @param descriptor: returns the descriptor of the open file; called before each write.
    @param observer: makes an observer that writes an event as a line in the log's format.
    """

    def __init__(
        self, descriptor: Callable[[], int], observer: Callable[[Writable], ILogObserver]
    ) -> None:
        self._descriptor = descriptor
        self._observer = observer
        # A finalizer may log between any two steps of a thread that is logging.
        self._lock = threading.RLock()
        self._lines: list[str] = []
        self._size = 0
        self._dropped = 0
        self._why = UNREAD
        # No queue.Queue or Event: a signal handler or finalizer could find its lock taken.
        self._wakes: SimpleQueue[threading.Event | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def write(self, text: str, /) -> None:
        """Take the text, or drop it; never wait, and never raise."""
        with self._lock:
            if self._size >= WAITING:
                self._dropped += text.count("\n")
                return
            is_first = not self._lines
            self._lines.append(text)
            self._size += len(text)
        if is_first:
            self.look()

    def look(self) -> None:
        """Check at once whether the file was moved. A signal handler may call this."""
        self._wakes.put(None)

    def start(self) -> None:
        """Begin to write. A daemon must have forked before, because a fork has no threads."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def flush(self, seconds: float) -> None:
        """Wait until all is written, but no longer than C{seconds}."""
        if self._thread is None:
            # The process ends before L{start}. Python starts no threads while it exits.
            self._write_out()
            return
        written = threading.Event()
        self._wakes.put(written)
        written.wait(seconds)

    def _run(self) -> None:
        while True:
            written = self._wakes.get()
            if written is None:
                sleep(GATHER_SECONDS)
            self._write_out()
            if written is not None:
                written.set()

    def _write_out(self) -> None:
        with self._lock:
            lines, self._lines, self._size = self._lines, [], 0
            dropped, self._dropped = self._dropped, 0
        why, self._why = self._why, UNREAD
        if dropped:
            lines.append(self._dropped_line(dropped, why))
        self._write("".join(lines).encode("utf-8", "backslashreplace"))

    def _write(self, data: bytes) -> None:
        """
        Write all data, however long that takes. Python's buffered files will not do: the process
        would abort at its end if this thread still waited in one.
        """
        unwritten, fd = memoryview(data), self._descriptor()
        while unwritten:
            try:
                unwritten = unwritten[os.write(fd, unwritten) :]
            except OSError as error:
                self._why = f"the log could not be written: {error.strerror}"
                sleep(RETRY_SECONDS)
                fd = self._descriptor()

    def _dropped_line(self, count: int, why: str) -> str:
        line = io.StringIO()
        self._observer(line)(
            {
                "log_time": time(),
                "log_level": LogLevel.warn,
                "log_namespace": __name__,
                "log_format": "{count} log lines were dropped because {why}",
                "count": count,
                "why": why,
            }
        )
        return line.getvalue()
