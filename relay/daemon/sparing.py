"""Lines of the log that repeat: a few are written, then only how many there were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic, time

from attrs import define
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

LINES = 20
"""Lines of one kind that are written within L{SECONDS}."""

SECONDS = 10.0
"""Seconds from the first line of a kind until it may be written again."""

KINDS = 1000
"""Most kinds that are remembered. Addresses of clients are part of a kind, and they are many."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls something after some seconds. It may be used from any thread."""


@define
class _Run:
    """The lines of one kind, since the first of them."""

    ends: float
    lines: int = 0
    left_out: int = 0
    last: LogEvent | None = None


def kind_of(event: LogEvent) -> Hashable:
    """
    What lines have in common that repeat each other; L{None} for a line that is always written.
    It is the event's C{log_same}, otherwise its text. If it has a traceback, that is long, and
    only its text before the values are filled in counts.
    """
    if "log_same" in event:
        same: Hashable = event["log_same"]
        return same
    has_traceback = event.get("log_failure") is not None
    text = event.get("log_format") if has_traceback else formatEvent(event)
    return event.get("log_namespace"), text


def _summary(run: _Run) -> LogEvent:
    """The line that stands for all that were left out."""
    last = run.last or {}
    return {
        "log_time": time(),
        "log_level": last.get("log_level"),
        "log_namespace": last.get("log_namespace", __name__),
        "log_format": "{count} more such lines were left out in {seconds:.0f} s, the last: {last}",
        "count": run.left_out,
        "seconds": SECONDS,
        "last": formatEvent(last),
    }


@implementer(ILogObserver)
class Sparing:
    """
    Passes on at most L{LINES} events of a kind in L{SECONDS}. When these are over, one event tells
    how many more there were, and what the last of them said.

    @param observer: what writes the events.
    @param later: has the end of the time seen if nothing more is logged.
    """

    def __init__(
        self, observer: ILogObserver, later: Later, seconds: Callable[[], float] = monotonic
    ) -> None:
        self._observer = observer
        self._later = later
        self._seconds = seconds
        # In the order in which they end. A finalizer may log between any two steps.
        self._runs: dict[Hashable, _Run] = {}
        self._lock = threading.RLock()

    def __call__(self, event: LogEvent) -> None:
        """Write the event, or count it."""
        kind = kind_of(event)
        self.look()
        if kind is None or self._is_written(kind, event):
            self._observer(event)

    def look(self) -> None:
        """Tell of what was left out, of each kind whose time is over."""
        with self._lock:
            self._end(lambda run: run.ends <= self._seconds())

    def finish(self) -> None:
        """Tell of all that was left out."""
        with self._lock:
            self._end(lambda run: True)

    def _is_written(self, kind: Hashable, event: LogEvent) -> bool:
        with self._lock:
            if kind not in self._runs and len(self._runs) >= KINDS:
                self._end(lambda run: len(self._runs) >= KINDS)
            run = self._runs.setdefault(kind, _Run(self._seconds() + SECONDS))
            run.lines += 1
            if run.lines <= LINES:
                return True
            if not run.left_out:
                self._later(SECONDS, self.look)
            run.left_out += 1
            run.last = event
            return False

    def _end(self, is_over: Callable[[_Run], bool]) -> None:
        while self._runs:
            kind = next(iter(self._runs))
            if not is_over(self._runs[kind]):
                return
            run = self._runs.pop(kind)
            if run.left_out:
                self._observer(_summary(run))
