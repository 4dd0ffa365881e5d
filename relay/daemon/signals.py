"""The signals that end the daemon: the first one drains it, a further one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

_log = Logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """
    Signal handlers in place of Twisted's own, which log a traceback for a second signal while the
    reactor stops.

    @param seconds: how long the end may take; only told in the log.
    @param stop: called at the first signal.
    @param abort: called at each further signal.
    """

    def __init__(
        self,
        reactor: Any,
        seconds: float,
        stop: Callable[[], object],
        abort: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._stop = stop
        self._abort = abort
        self._stopping = False

    def install(self) -> None:
        """Install the handlers. To be called while the reactor runs: its run sets its own first."""
        for number in SIGNALS:
            signal.signal(number, self._came)

    def _came(self, number: int, frame: object) -> None:
        # Python calls this between any two instructions, and the reactor may be asleep.
        self._reactor.callFromThread(self._act, signal.Signals(number).name)

    def _act(self, name: str) -> None:
        if self._stopping:
            _log.info("{name} again: ending at once", name=name)
            self._abort()
            return
        self._stopping = True
        text = "{name}: ending within {seconds:g} s; once more, and it ends at once"
        _log.info(text, name=name, seconds=self._seconds)
        self._stop()
