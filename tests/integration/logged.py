"""What is logged while a test runs, and what of it must not be."""

from __future__ import annotations

from integration.canary import traces_in
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsJSON, eventAsText
from zope.interface import implementer

BREAKS = "breaker of openai is open: "
"""The beginning of the error that a refused key or a used up quota always leaves."""


@implementer(ILogObserver)
class Logged:
    """
    Keeps what is logged, at every level.

    @ivar expected: beginnings of the errors that must be logged; any other error is a failure.
    @ivar secrets: further strings of which no part may be logged.
    """

    def __init__(self) -> None:
        self.expected: set[str] = set()
        self.secrets: set[str] = set()
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Keep it."""
        self._events.append(event)

    def check(self) -> None:
        """Nothing of the key, and no error but those that are expected."""
        for event in self._events:
            for line in (eventAsText(event), eventAsJSON(event)):
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
