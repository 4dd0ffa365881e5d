"""
Log events as lines: of text, or of JSON, one flat object each, for C{--log-format json}.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.logger import ILogObserver, LogEvent, eventAsText, formatEvent, formatTime
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.daemon.logfile import END_SECONDS, LogWriter, WatchedFile, Writable

DEEPEST = 4
"""Levels of lists and tables in a field; what lies deeper is written as text."""

RESERVED = {"time", "level", "namespace", "message", "failure"}
"""Names that a line gives a meaning of its own."""

LEGACY = {"system", "format", "isError", "why"}
"""Names that Twisted's older log adds to an event."""


def _text(value: object) -> str:
    """What C{str} says, of objects too that cannot say it."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be printed>"


def _plain(value: object, depth: int = 0) -> Any:
    """The value in JSON's own types; what is not of them becomes text."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        # JSON has no infinity; Python's writer would make one up.
        return value if abs(value) < float("inf") else _text(value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return {_text(k): _plain(v, depth + 1) for k, v in value.items()}
    if depth < DEEPEST and isinstance(value, (list, tuple)):
        return [_plain(v, depth + 1) for v in value]
    return _text(value)


def _is_field(name: str, value: object) -> bool:
    """Whether an entry of an event was given by who logged it, and is data, not an object."""
    kinds = (str, int, float, list, tuple, dict, type(None))
    own = not name.startswith("log_") and name not in RESERVED | LEGACY
    return own and isinstance(value, kinds)


def _traceback(failure: Failure) -> str:
    try:
        return failure.getTraceback()
    except Exception:
        return _text(failure.type)


def flatten(event: LogEvent) -> dict[str, Any]:
    """One log event as a table of JSON's types: when, how grave, whence, what, and its fields."""
    level = event.get("log_level")
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    row: dict[str, Any] = {
        "time": when.isoformat(timespec="milliseconds"),
        "level": "info" if level is None else _text(getattr(level, "name", level)),
        "namespace": _text(event.get("log_namespace", "")),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        row["failure"] = _traceback(failure)
    row.update((k, _plain(v)) for k, v in event.items() if _is_field(k, v))
    return row


@implementer(ILogObserver)
class TextObserver:
    """
    Writes each event as C{twistd} does, in a third of the time, which is a tenth of a handshake's:
    Twisted makes the text of the time anew for each line.
    """

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._stamp = (-1, "")  # one value, because threads log too

    def __call__(self, event: LogEvent) -> None:
        """Write one line, or more, the others behind a tab."""
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if not text:
            return
        second = int(event.get("log_time", 0))
        stamped, time = self._stamp
        if second != stamped:
            time = formatTime(second)
            self._stamp = (second, time)
        lines = text.replace("\n", "\n\t")
        self._file.write(f"{time} [{_system(event)}] {lines}\n")


def _system(event: LogEvent) -> str:
    """Where it comes from, and how grave it is."""
    system = event.get("log_system")
    if system is not None:
        return _text(system)
    level = getattr(event.get("log_level"), "name", "-")
    return f"{event.get('log_namespace', '-')}#{level}"


@implementer(ILogObserver)
class JSONObserver:
    """Writes each event to a file as it comes."""

    def __init__(self, file: Writable) -> None:
        self._file = file

    def __call__(self, event: LogEvent) -> None:
        """Write one line."""
        try:
            line = json.dumps(flatten(event))
        except Exception as error:
            # To raise here would make Twisted log that too, with a traceback in another format.
            line = json.dumps({"level": "error", "message": f"unloggable: {type(error).__name__}"})
        self._file.write(line + "\n")


def open_log(twistd: Mapping[str, Any], observer: Callable[[Writable], ILogObserver]) -> LogWriter:
    """
    What writes the log to where C{twistd} would log text to, by its own options and rules: standard
    output in the foreground, else C{--logfile}, else C{twistd.log}. It is to be started when a
    daemon has forked; until then, lines wait.

    A file that was moved is left at the next line, or at SIGUSR1.

    @param observer: makes an observer in the log's format.
    @raise SystemExit: for a daemon that should log to standard output, or if there is no such file.
    """
    name = twistd.get("logfile")
    if name == "-" and not twistd.get("nodaemon"):
        raise SystemExit("realtime-relay: a daemon cannot log to standard output")
    if name == "-" or (not name and twistd.get("nodaemon")):
        writer = LogWriter(_standard_output(), observer)
    else:
        writer = LogWriter(_watched(name or "twistd.log"), observer)
        # Left alone, the signal ends the process, and twistd has taught operators to send it.
        if not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, lambda *_: writer.look())
    atexit.register(writer.flush, END_SECONDS)
    return writer


def _standard_output() -> Callable[[], int]:
    # Closed, it is None, and its number may become that of another file.
    fd = sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)
    return lambda: fd


def _watched(path: str) -> Callable[[], int]:
    try:
        return WatchedFile(path).descriptor
    except OSError as error:
        raise SystemExit(f"realtime-relay: {path}: {error.strerror}") from None
