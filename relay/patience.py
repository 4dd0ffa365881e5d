"""How long a peer may take to read what it was sent, and to end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.deadline import Deadline
from relay.delivery import Delivery
from relay.settings import Limits


class Patience:
    """
    The two deadlines of who does not read: while data waits for it, and when its connection ends.

    It holds what it calls only while it waits (see L{Deadline}).
    """

    __slots__ = ("_clock", "_delivery", "_limits", "_linger", "_linger_end", "_stall")

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._stall = Deadline(clock)
        self._linger = Deadline(clock)
        self._linger_end = 0.0
        self._delivery = Delivery()

    def wait_for_reader(self, transport: Any, stalled: Callable[[], None]) -> None:
        """Data waits, from now on; call C{stalled} when it has waited for too long."""
        if not self._stall.is_set:
            self._delivery.progressed(transport)  # from here on
        self._stall.set(self._limits.stall_seconds, stalled)

    def still_reads(self, transport: Any, stalled: Callable[[], None]) -> bool:
        """A slow reader of a large message is no stalled one: if it is that, wait on."""
        slow = self._delivery.progressed(transport)
        if slow:
            self._stall.set(self._limits.stall_seconds, stalled)
        return slow

    def caught_up(self) -> None:
        """No data waits any more."""
        self._stall.clear()

    def wait_for_end(self, transport: Any, give_up: Callable[[], None]) -> None:
        """
        The connection should end now; call C{give_up} when that has taken too long.

        Who goes on reading what waits in the kernel gets it, for as long as a stall may last.
        """
        if not self._linger_end:
            self._linger_end = self._clock.seconds() + self._limits.stall_seconds
            self._delivery.progressed(transport)  # from here on
        check = partial(self._check_end, transport, give_up)
        self._linger.set(self._limits.linger_seconds, check)

    def _check_end(self, transport: Any, give_up: Callable[[], None]) -> None:
        if self._delivery.progressed(transport) and self._clock.seconds() < self._linger_end:
            self.wait_for_end(transport, give_up)
        else:
            give_up()

    def stop(self) -> None:
        """The connection is lost."""
        self._stall.clear()
        self._linger.clear()
