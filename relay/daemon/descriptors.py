"""
How many file descriptors the process may have, and what becomes of its clients when they run out.

Source: getrlimit(2), accept(2).
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.tcp import Port
from twisted.logger import Logger

from relay.rules.shortage import Shortage, shortage_in
from relay.timing.deadline import Deadline

_log = Logger()

OTHERS = 64
"""Descriptors for all that is no connection: listeners, the log, look-ups, what is in reserve."""

SPARE = 8
"""Descriptors in reserve."""

PAUSE_SECONDS = 0.25
"""How long nobody is accepted when even the reserve is used."""

BATCH = 4
"""
Most clients accepted in one turn. Few, so that a busy relay serves those it has, while the others
wait in the listener's queue: there another process can still take them, when this one ends.
"""

YIELD_SECONDS = 0.01
"""How long other processes may go first."""

QUIET_SECONDS = 60.0
"""A shortage that begins again sooner is not told of again."""


def raise_limit() -> float:
    """Let this process have as many descriptors as it may have; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):  # a system that says "unlimited", and does not mean it
        hard = soft
    return inf if hard == resource.RLIM_INFINITY else hard


def sessions_within(descriptors: float, each: int) -> float:
    """
    The sessions that so many descriptors suffice for; at least 1.

    @param each: descriptors of one session.
    """
    return inf if descriptors == inf else max(1, (descriptors - OTHERS) // each)


class Accepting:
    """
    Accepts clients as long as there are descriptors for them.

    Some descriptors are kept in reserve. With those the relay accepts clients that it cannot serve,
    and refuses them. When they are used too, it accepts nobody for a moment, and clients wait in
    the listener's queue. By itself Twisted would drop them without an answer, and log each.

    @ivar is_ahead: whether another process that accepts on the same socket should have the next
        client. It has a moment to take it.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._seconds = reactor.seconds
        self._pause = Deadline(reactor)
        self._waiting: set[Any] = set()
        self._spare: list[int] = []
        self._short = self._told = False
        self._since = -inf
        self._has_yielded = False
        self.is_ahead: Callable[[], bool] = lambda: False

    def guard(self, port: Any) -> None:
        """Watch over a listener. One that is none of Twisted's own goes on as it is."""
        self._fill()
        if isinstance(port, Port):
            # To mypy a method is no variable; the reactor looks it up on the port each time.
            port.doRead = partial(self._accept, port, port.doRead)  # type: ignore[method-assign]

    def stop(self) -> None:
        """Give back what is in reserve."""
        self._pause.clear()
        self._waiting.clear()
        while self._spare:
            os.close(self._spare.pop())

    def _accept(self, port: Any, read: Any) -> None:
        for _ in range(BATCH):
            self._has_yielded = not self._has_yielded and self.is_ahead()
            if self._has_yielded or not self._has_room():
                self._wait(port, YIELD_SECONDS if self._has_yielded else PAUSE_SECONDS)
                return
            before = port.sessionno
            port.numberAccepts = 1  # what there is a descriptor for; Twisted would take many
            read()
            if port.sessionno == before:
                self._fill()  # what was spent for nobody, before a dial takes it
                return

    def _has_room(self) -> bool:
        """Make room for one client, from the reserve if need be; return whether there is any."""
        shortage = self._fill()
        if shortage is not None:
            return self._spends(shortage)
        self._is_over()
        return True

    def _fill(self) -> Shortage | None:
        """Fill the reserve; return what is short, unless there is one descriptor more than that."""
        while True:
            try:
                found = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                return shortage_in(error)
            if len(self._spare) >= SPARE:
                os.close(found)
                return None
            self._spare.append(found)

    def _spends(self, shortage: Shortage) -> bool:
        if not self._short:
            self._short = True
            self._told = self._seconds() - self._since >= QUIET_SECONDS
            if self._told:
                self._since = self._seconds()
                _log.warn(
                    "{error}: no descriptor is left, so new clients are refused. {message}",
                    error=shortage.error,
                    message=shortage.message,
                )
        if self._spare:
            os.close(self._spare.pop())
            return True
        return False

    def _is_over(self) -> None:
        if self._short and self._told:
            _log.info("there are descriptors again, and clients are served")
        self._short = False

    def _wait(self, port: Any, seconds: float) -> None:
        port.stopReading()
        self._waiting.add(port)
        if not self._pause.is_set:
            self._pause.set(seconds, self._go_on)

    def _go_on(self) -> None:
        ports, self._waiting = self._waiting, set()
        for port in ports:
            if port.connected and not port.disconnecting:
                port.startReading()
