"""What ends the daemon from outside: one signal drains it, a second one ends it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

_log = Logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """
    In place of Twisted's own: of those, a second one while the reactor stops is a traceback.

    @param seconds: how long the end may take, to be told.
    @param stop: called by the first signal.
    @param abort: called by each further one.
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
        """Take them over. To be called in the reactor's run, which begins with setting its own."""
        for number in SIGNALS:
            signal.signal(number, self._came)

    def _came(self, number: int, frame: object) -> None:
        # Python calls this between any two instructions; and the reactor may be asleep.
        self._reactor.callFromThread(self._act, signal.Signals(number).name)

    def _act(self, name: str) -> None:
        if self._stopping:
            _log.info("{name} again: ending at once", name=name)
            self._abort()
            return
        self._stopping = True
        line = "{name}: ending within {seconds:g} s; once more, and it ends at once"
        _log.info(line, name=name, seconds=self._seconds)
        self._stop()
