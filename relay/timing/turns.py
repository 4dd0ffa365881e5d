"""
Share the reactor's turns between connections.

In one turn the reactor serves every connection that its poll has found. With a thousand connections
a turn could take as long as all their work together, and each of them would wait for that.
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
"""
Seconds of one turn of the reactor that one kind of work may take. A tenth of it would let open
sessions wait for less, but a handshake then cost a third more: each turn costs something too.
"""


class Turns:
    """
    Work of one kind. Each turn of the reactor does L{TURN_SECONDS} of it; later turns do the rest,
    in order.

    @param clock: the reactor whose turns are shared.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next = Deadline(clock)

    def do(self, work: Callable[[], None]) -> bool:
        """
        Do the work now, or in a later turn if this one has had its share.

        @param work: if it raises an exception, that is logged, and the next work goes on.
        @return: whether the work is done.
        """
        if self._waiting or self._spent >= TURN_SECONDS:
            self.later(work)
            return False
        self._do(work)
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Do the work in a later turn."""
        self._waiting.append(work)
        self._go_on()

    def forget(self, work: Callable[[], None]) -> None:
        """Do not do this work, if it still waits."""
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
        for _ in range(len(self._waiting)):  # work that is added meanwhile waits for the next turn
            if not self._waiting or self._spent >= TURN_SECONDS:
                break
            self._do(self._waiting.popleft())
        if self._waiting:
            self._go_on()


def drop(data: bytes) -> None:
    """Stands in for a receiver of bytes that is gone: does nothing."""


class Inflow:
    """
    The bytes that come on one connection, where to deal with them is much work: they may have to
    wait for a turn.

    @param take: called with the bytes.
    """

    __slots__ = ("_kept", "_paused", "_take", "_turns")

    def __init__(self, turns: Turns, take: Callable[[bytes], None]) -> None:
        self._turns = turns
        self._take = take
        self._kept = b""
        self._paused: Any = None

    def received(self, transport: Any, data: bytes) -> None:
        """Have the bytes taken now, or read no more until they are taken."""
        if self._kept:
            self._kept += data  # Twisted's TLS hands on what it had decrypted before the pause
            return
        self._kept = data
        if not self._turns.do(self._take_kept):
            self._paused = transport
            transport.pauseProducing()

    def _take_kept(self) -> None:
        paused, self._paused = self._paused, None
        if paused is not None:
            paused.resumeProducing()  # first, because the taker may pause it again, or close it
        data, self._kept = self._kept, b""
        self._take(data)

    def end(self) -> bytes:
        """The connection is lost: take nothing more, and return the bytes that were not taken."""
        self._turns.forget(self._take_kept)
        self._take = drop  # the taker refers to this object: a reference cycle
        data, self._kept, self._paused = self._kept, b"", None
        return data
