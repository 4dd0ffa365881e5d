"""
The daemon's signals. The first that ends it drains it, and a further one ends it at once. Another
has it take new settings.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

_log = Logger()

ENDS = (signal.SIGTERM, signal.SIGINT)

RELOADS = signal.SIGHUP

IDLE = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that would kill the process, and that mean nothing unless somebody else takes them."""


class Signals:
    """
    Signal handlers in place of Twisted's own, which log a traceback for a second signal while the
    reactor stops.

    @param seconds: how long the end may take; only told in the log.
    @param stop: called at the first signal.
    @param abort: called at each further signal.
    @param reload: called at L{RELOADS}, unless the daemon is ending.
    """

    def __init__(
        self,
        reactor: Any,
        seconds: float,
        stop: Callable[[], object],
        abort: Callable[[], object],
        reload: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._stop = stop
        self._abort = abort
        self._reload = reload
        self._stopping = False

    def install(self) -> None:
        """Install the handlers. To be called while the reactor runs: its run sets its own first."""
        for number in ENDS:
            signal.signal(number, self._came)

    def survive(self) -> None:
        """End by no other signal. To be called as soon as the relay listens."""
        signal.signal(RELOADS, self._came)
        for number in IDLE:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.SIG_IGN)

    def _came(self, number: int, frame: object) -> None:
        # Python calls this between any two instructions, and the reactor may be asleep.
        act = self._again if number == RELOADS else self._act
        self._reactor.callFromThread(act, signal.Signals(number).name)

    def _again(self, name: str) -> None:
        if self._stopping:
            _log.info("{name}: the relay is ending, and takes no new settings", name=name)
        else:
            self._reload()

    def _act(self, name: str) -> None:
        if self._stopping:
            _log.info("{name} again: ending at once", name=name)
            self._abort()
            return
        self._stopping = True
        text = "{name}: ending within {seconds:g} s; once more, and it ends at once"
        _log.info(text, name=name, seconds=self._seconds)
        self._stop()
