"""
Share the reactor's turns between connections.

The reactor does in one turn all that its poll has found: with a thousand connections a turn would
take as long as their work together, and whoever has a word to say would wait for all of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.timing.deadline import Deadline

_log = Logger()

TURN_SECONDS = 0.005
"""Seconds of one turn of the reactor that one kind of work may take."""


class Turns:
    """
    Work of one kind, of which each turn does a share, and later ones the rest, in order.

    @param clock: whose turns these are.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next = Deadline(clock)

    def do(self, work: Callable[[], None]) -> bool:
        """
        Do it now, or later if this turn has had its share.

        @param work: an exception out of it is logged, and keeps nobody else waiting.
        @return: whether it is done.
        """
        if self._waiting or self._spent >= TURN_SECONDS:
            self.later(work)
            return False
        self._do(work)
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Do it in a later turn."""
        self._waiting.append(work)
        self._go_on()

    def forget(self, work: Callable[[], None]) -> None:
        """Do not do what waits, if it does."""
        if work in self._waiting:
            self._waiting.remove(work)
            if not self._waiting and not self._spent:
                self._next.clear()

    def _do(self, work: Callable[[], None]) -> None:
        began = self._clock.seconds()
        try:
            work()
        except Exception:
            _log.failure("exception in work that had to wait for its turn")
        spent = self._clock.seconds() - began
        if spent:
            self._spent += spent
            self._go_on()

    def _go_on(self) -> None:
        if not self._next.is_set:
            self._next.set(0, self._turn)

    def _turn(self) -> None:
        self._spent = 0.0
        for _ in range(len(self._waiting)):  # what these add is for the next turn
            if not self._waiting or self._spent >= TURN_SECONDS:
                break
            self._do(self._waiting.popleft())
        if self._waiting:
            self._go_on()


def drop(data: bytes) -> None:
    """In place of one that takes what comes, when nobody is there any more."""


class Inflow:
    """
    What comes on one connection, and is much work: it may have to wait for its turn.

    @param take: is given the bytes.
    """

    __slots__ = ("_kept", "_paused", "_take", "_turns")

    def __init__(self, turns: Turns, take: Callable[[bytes], None]) -> None:
        self._turns = turns
        self._take = take
        self._kept = b""
        self._paused: Any = None

    def received(self, transport: Any, data: bytes) -> None:
        """Take them now, or read no more until they are taken."""
        if self._kept:
            self._kept += data  # TLS had more decrypted
            return
        self._kept = data
        if not self._turns.do(self._take_kept):
            self._paused = transport
            transport.pauseProducing()

    def _take_kept(self) -> None:
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.resumeProducing()  # before: who takes them may do as it likes with the transport
        data, self._kept = self._kept, b""
        self._take(data)

    def end(self) -> bytes:
        """The connection is lost; return what was not taken."""
        self._turns.forget(self._take_kept)
        self._take = drop  # who takes has this, a reference cycle
        data, self._kept, self._paused = self._kept, b"", None
        return data
