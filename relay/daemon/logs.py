"""
Log events as lines: as text, or, for C{--log-format json}, as one flat JSON object each.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from twisted.logger import ILogObserver, LogEvent, eventAsText, formatEvent, formatTime
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.daemon.journal import is_journal, priority
from relay.daemon.logfile import END_SECONDS, LogWriter, WatchedFile, Writable

DEEPEST = 4
"""Most levels of lists and tables in a field; deeper ones are written as text."""

RESERVED = {"time", "level", "namespace", "message", "failure"}
"""Keys to which a JSON line gives a meaning of its own."""

LEGACY = {"system", "format", "isError", "why"}
"""Names that Twisted's older log adds to an event."""


Prefix = Callable[[LogEvent], str]


def unprefixed(event: LogEvent) -> str:
    """No prefix."""
    return ""


def _text(value: object) -> str:
    """C{str} of a value, or a text in its place if that raises."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be printed>"


def _plain(value: object, depth: int = 0) -> Any:
    """The value in JSON's own types; all other values become text."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        # JSON has neither infinity nor NaN, but Python's encoder would write them.
        return value if abs(value) < float("inf") else _text(value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return {_text(k): _plain(v, depth + 1) for k, v in value.items()}
    if depth < DEEPEST and isinstance(value, (list, tuple)):
        return [_plain(v, depth + 1) for v in value]
    return _text(value)


def _is_field(name: str, value: object) -> bool:
    """Whether an entry of an event was given by the code that logged it, and is plain data."""
    kinds = (str, int, float, list, tuple, dict, type(None))
    own = not name.startswith("log_") and name not in RESERVED | LEGACY
    return own and isinstance(value, kinds)


def _traceback(failure: Failure) -> str:
    try:
        return failure.getTraceback()
    except Exception:
        return _text(failure.type)


def flatten(event: LogEvent) -> dict[str, Any]:
    """One log event as a table of JSON's types: the keys in L{RESERVED}, and its fields."""
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
    Writes each event as C{twistd} does, in a third of the time.

    Twisted formats the time anew for each line. A tenth of a handshake's time would go into that.
    """

    def __init__(self, file: Writable, prefix: Prefix = unprefixed) -> None:
        """
        @param prefix: what each line begins with, by its event.
        """
        self._file = file
        self._prefix = prefix
        self._stamp = (-1, "")  # one value, because threads log too

    def __call__(self, event: LogEvent) -> None:
        """Write an event. If it has more than one line, the further ones begin with a tab."""
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if not text:
            return
        second = int(event.get("log_time", 0))
        stamped, time = self._stamp
        if second != stamped:
            time = formatTime(second)
            self._stamp = (second, time)
        prefix = self._prefix(event)
        lines = text.replace("\n", f"\n{prefix}\t")
        self._file.write(f"{prefix}{time} [{system_of(event)}] {lines}\n")


def system_of(event: LogEvent) -> str:
    """The event's namespace and level, or the system that an older log call gives."""
    system = event.get("log_system")
    if system is not None:
        return _text(system)
    level = getattr(event.get("log_level"), "name", "-")
    return f"{event.get('log_namespace', '-')}#{level}"


@implementer(ILogObserver)
class JSONObserver:
    """Writes each event as one line of JSON."""

    def __init__(self, file: Writable, prefix: Prefix = unprefixed) -> None:
        """
        @param prefix: what each line begins with, by its event.
        """
        self._file = file
        self._prefix = prefix

    def __call__(self, event: LogEvent) -> None:
        """Write one line."""
        try:
            line = json.dumps(flatten(event))
        except Exception as error:
            # If this raised, Twisted would log that too, with a traceback in another format.
            line = json.dumps({"level": "error", "message": f"unloggable: {type(error).__name__}"})
        self._file.write(f"{self._prefix(event)}{line}\n")


def observer_for(
    log_format: str, twistd: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Callable[[Writable], ILogObserver]:
    """What makes an observer in this format; with priorities if the journal reads the lines."""
    kind = JSONObserver if log_format == "json" else TextObserver
    if _is_on_standard_output(twistd) and sys.stdout and is_journal(sys.stdout.fileno(), environ):
        return partial(kind, prefix=priority)
    return kind


def open_log(twistd: Mapping[str, Any], observer: Callable[[Writable], ILogObserver]) -> LogWriter:
    """
    The writer of the log. It writes to where C{twistd} would log text: C{--logfile}, else standard
    output in the foreground, else C{twistd.log}. It is to be started when a daemon has forked;
    until then, lines wait.

    When the file was moved, the log goes on in a new file at the next line, or at SIGUSR1.

    @param twistd: the options of C{twistd}.
    @param observer: makes an observer in the log's format.
    @raise SystemExit: if a daemon should log to standard output, or the file cannot be opened.
    """
    if twistd.get("logfile") == "-" and not twistd.get("nodaemon"):
        raise SystemExit("realtime-relay: a daemon cannot log to standard output")
    if _is_on_standard_output(twistd):
        writer = LogWriter(_standard_output(), observer)
    else:
        writer = LogWriter(_watched(twistd.get("logfile") or "twistd.log"), observer)
        # By default the signal ends the process, but operators of twistd are used to sending it.
        if not signal.getsignal(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, lambda *_: writer.look())
    atexit.register(writer.flush, END_SECONDS)
    return writer


def _is_on_standard_output(twistd: Mapping[str, Any]) -> bool:
    name = twistd.get("logfile")
    return name == "-" or not (name or not twistd.get("nodaemon"))


def _standard_output() -> Callable[[], int]:
    # If standard output is closed, sys.stdout is None, and number 1 may become another file's.
    fd = sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)
    return lambda: fd


def _watched(path: str) -> Callable[[], int]:
    try:
        return WatchedFile(path).descriptor
    except OSError as error:
        raise SystemExit(f"realtime-relay: {path}: {error.strerror}") from None
