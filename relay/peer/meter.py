"""Read a client that sends too much no faster than it may send, and give it up if it goes on."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IReactorTime

from relay.timing.allowance import Allowance
from relay.timing.deadline import Deadline

BURST_SECONDS = 10
"""So many seconds' worth may come at once."""

FLOOD_SECONDS = 60
"""A client that has to be held back for so long, without a break, is given up."""


class Meter:
    """
    Counts what a client sends, a chunk at a time. It looks at the clock only after each second's
    worth, so that it costs a chunk two comparisons.

    While it is set, the client is not to be read. All that was read is passed on.

    @param frames: frames a second in the long run; 0 for no limit.
    @param payload: bytes a second likewise.
    @param over: called when reading may go on.
    @param too_much: called if the client was held back for L{FLOOD_SECONDS}.
    """

    __slots__ = ("_kinds", "_over", "_pause", "_seconds", "_since", "_too_much")

    def __init__(
        self,
        clock: IReactorTime,
        frames: float,
        payload: float,
        over: Callable[[], object],
        too_much: Callable[[], object],
    ) -> None:
        self._seconds = clock.seconds
        self._kinds = _Kind(frames), _Kind(payload)
        self._pause = Deadline(clock)
        self._over = over
        self._too_much = too_much
        self._since: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether the client is not to be read now."""
        return self._pause.is_set

    def count(self, frames: int, received: int) -> bool:
        """
        Say how many frames and bytes have come in all.

        @return: whether reading has to pause now.
        """
        of_frames, of_bytes = self._kinds
        if frames < of_frames.next and received < of_bytes.next:
            return False
        now = self._seconds()
        self._judge(max(of_frames.debt(frames, now), of_bytes.debt(received, now)), now)
        return self._pause.is_set

    def _judge(self, debt: float, now: float) -> None:
        if not debt:
            self._since = None
            return
        self._since = now if self._since is None else self._since
        left = self._since + FLOOD_SECONDS - now
        if left <= 0:
            too_much = self._too_much
            self.stop()
            too_much()
        elif not self._pause.is_set:
            self._pause.set(min(debt, left), self._time_is_up)

    def _time_is_up(self) -> None:
        now = self._seconds()
        if debt := max(kind.owed(now) for kind in self._kinds):
            self._judge(debt, now)
        if not self._pause.is_set:
            self._over()

    def stop(self) -> None:
        """Count no more, and forget whom to call: else there would be a reference cycle."""
        self._pause.clear()
        self._over = self._too_much = _nothing
        for kind in self._kinds:
            kind.next = inf


def _nothing() -> None:
    """Stands in for what was to be called."""


class _Kind:
    """
    What is counted.

    @ivar next: the total at which to look at the clock.
    """

    __slots__ = ("_allowance", "_looked", "_rate", "next")

    def __init__(self, rate: float) -> None:
        self._allowance = Allowance()
        self._looked = 0
        self._rate = rate
        self.next = rate or inf

    def debt(self, total: int, now: float) -> float:
        """Seconds until what has come is allowed for."""
        if not self._rate:
            return 0.0
        came, self._looked = total - self._looked, total
        self.next = total + self._rate
        return self._allowance.spend(came, now, self._rate, self._rate * BURST_SECONDS)

    def owed(self, now: float) -> float:
        """The same, if no more has come."""
        return self.debt(self._looked, now)
