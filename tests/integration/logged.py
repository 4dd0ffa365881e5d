"""What is logged while a test runs, and what of it must not be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from integration.canary import traces_in
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsJSON,
    eventAsText,
    globalLogPublisher,
)
from txaio import tx
from zope.interface import implementer

from relay.daemon.logs import JSONObserver, TextObserver

BREAKS = "breaker of openai is open: "
"""The beginning of the error that a refused key or a used up quota always leaves."""


@implementer(ILogObserver)
class Logged:
    """
    Keeps what is logged, at every level: by Twisted, and by whoever uses the standard library's
    loggers.

    @ivar expected: beginnings of the errors that must be logged; any other error is a failure.
    @ivar secrets: further strings of which no part may be logged.
    @ivar by_others: lines of the standard library's loggers.
    """

    def __init__(self) -> None:
        self.expected: set[str] = set()
        self.secrets: set[str] = set()
        self.by_others: list[str] = []
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Keep it."""
        self._events.append(event)

    def check(self) -> None:
        """Nothing of the key, and no error but those that are expected."""
        for line in self.by_others:
            assert not traces_in(line.encode("utf-8", "replace"), *self.secrets), line
        for event in self._events:
            for line in (eventAsText(event), eventAsJSON(event), *_written(event)):
                assert not traces_in(line.encode("utf-8", "replace"), *self.secrets), line
        errors = [event for event in self._events if event["log_level"] >= LogLevel.error]
        texts = [
            eventAsText(event, includeTimestamp=False, includeSystem=False) for event in errors
        ]
        known = (*self.expected, BREAKS)
        unexpected = [text for text in texts if not text.startswith(known)]
        assert not unexpected, "\n".join(unexpected)
        for beginning in self.expected:
            assert any(text.startswith(beginning) for text in texts), f"not logged: {beginning}"


def _written(event: LogEvent) -> tuple[str, str]:
    """An event in both formats of the relay's own log."""
    text, rows = StringIO(), StringIO()
    TextObserver(text)(event)
    JSONObserver(rows)(event)
    return text.getvalue(), rows.getvalue()


class _Others(logging.Handler):
    """Gives an ear what is logged by the standard library's loggers."""

    def __init__(self, logged: Logged) -> None:
        super().__init__()
        self._lines = logged.by_others

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, with its traceback; not what the peers log, which know what they were sent."""
        if not record.name.startswith("websockets."):
            self._lines.append(f"{record.name}: {self.format(record)}")


@contextmanager
def listening() -> Iterator[Logged]:
    """Hear every logger at its lowest level, Autobahn's too."""
    logged, root = Logged(), logging.getLogger()
    others, level = _Others(logged), root.level
    root.addHandler(others)
    root.setLevel(logging.NOTSET)
    globalLogPublisher.addObserver(logged)
    tx.set_global_log_level("trace")
    try:
        yield logged
    finally:
        tx.set_global_log_level("info")
        globalLogPublisher.removeObserver(logged)
        root.setLevel(level)
        root.removeHandler(others)
