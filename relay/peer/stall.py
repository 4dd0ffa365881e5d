"""How long a peer may take to read what it was sent, and to end its connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime

from relay.config.settings import Limits
from relay.peer.delivery import Written, written
from relay.timing.deadline import Deadline
from relay.wire.interfaces import Line

SLOWEST = 4096
"""
Bytes a second. A reader that takes less while data waits for it counts as stalled. Such a reader
cannot even follow telephone audio, which has 8,000 bytes a second.
"""


class Patience:
    """
    The two deadlines of a peer that does not read: one while data waits for it, one while its
    connection ends. Each is put off as long as the peer takes at least L{SLOWEST}.

    It refers to what it calls only while it waits (see L{Deadline}).
    """

    __slots__ = ("_before", "_limits", "_linger", "_stall")

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._limits = limits
        self._stall = Deadline(clock)
        self._linger = Deadline(clock)
        self._before: Written | None = None  # what was known when it was last looked at

    def wait_for_reader(self, line: Line, stalled: Callable[[], None]) -> None:
        """Data waits from now on; call C{stalled} when it has waited for C{stall_seconds}."""
        self._before = written(line)
        self._stall.set(self._limits.stall_seconds, stalled)

    def still_reads(self, line: Line, stalled: Callable[[], None]) -> bool:
        """Whether the peer reads at least slowly, as of a large message; if so, wait on."""
        slow = self._progressed(line, self._limits.stall_seconds)
        if slow:
            self._stall.set(self._limits.stall_seconds, stalled)
        return slow

    def caught_up(self) -> None:
        """No data waits any more."""
        self._stall.clear()

    def wait_for_end(self, line: Line, give_up: Callable[[], None]) -> None:
        """
        The connection should end now; call C{give_up} if it has not within C{linger_seconds}.

        A reader that goes on taking what waits in the kernel is given the time to get it.
        """
        self._before = written(line)
        self._wait_for_end(line, give_up)

    def _wait_for_end(self, line: Line, give_up: Callable[[], None]) -> None:
        self._linger.set(self._limits.linger_seconds, partial(self._check_end, line, give_up))

    def _check_end(self, line: Line, give_up: Callable[[], None]) -> None:
        if self._progressed(line, self._limits.linger_seconds):
            self._wait_for_end(line, give_up)
        else:
            give_up()

    def _progressed(self, line: Line, seconds: float) -> bool:
        """Whether data waits, and enough of it was taken in the C{seconds} since the last look."""
        before, now = self._before, written(line)
        self._before = now
        if before is None or now is None or not now.waiting:
            return False
        return now.taken_since(before) >= SLOWEST * seconds

    def takes(self, line: Line, within: bool) -> bool | None:
        """
        Whether a peer that was not heard has taken some of what waits for it since the last look;
        L{None} if nothing waits, or nothing is known. To be asked while neither deadline runs.

        On a Unix socket one that took some and was sent more looks like one that took nothing.
        Between frames it has to answer a Ping anyway. Within one that tells nothing.

        @param within: whether a large frame is crossing to the peer. Then having taken all that
            there was counts too. (Between frames the peer has to answer a Ping instead.)
        """
        before, now = self._before, written(line)
        self._before = now
        if now is None or before is None:
            return None
        if now.acknowledged is None or before.acknowledged is None:
            waits_less = now.waiting < before.waiting
            return waits_less if now.waiting and (waits_less or not within) else None
        progressed = now.acknowledged > before.acknowledged
        return progressed if now.waiting or (within and progressed) else None

    def stop(self) -> None:
        """The connection is lost."""
        self._stall.clear()
        self._linger.clear()
