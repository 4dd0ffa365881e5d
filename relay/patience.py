"""How long a peer may take to read what it was sent, and to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.deadline import Deadline, weakly
from relay.delivery import Delivery
from relay.settings import Limits


class Patience:
    """
    The two deadlines of who does not read: while data waits for it, and when its connection ends.

    @param stalled: called when data has waited for too long.
    @param lingered: called when the end has taken too long.
    """

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits,
        stalled: Callable[[], None],
        lingered: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._lingered = weakly(lingered)
        self._stall = Deadline(clock, stalled)
        self._linger = Deadline(clock, self._check_end)
        self._linger_end = 0.0
        self._transport: Any = None
        self._delivery = Delivery()

    def wait_for_reader(self, transport: Any) -> None:
        """Data waits, from now on."""
        if not self._stall.is_set:
            self._transport = transport
            self._delivery.progressed(transport)  # from here on
        self._stall.set(self._limits.stall_seconds)

    def still_reads(self) -> bool:
        """A slow reader of a large message is no stalled one: if it is that, wait on."""
        slow = self._delivery.progressed(self._transport)
        if slow:
            self._stall.set(self._limits.stall_seconds)
        return slow

    def caught_up(self) -> None:
        """No data waits any more."""
        self._stall.clear()

    def wait_for_end(self, transport: Any) -> None:
        """The connection should end now."""
        if not self._linger_end:
            self._linger_end = self._clock.seconds() + self._limits.stall_seconds
            self._transport = transport
            self._delivery.progressed(transport)  # from here on
        self._linger.set(self._limits.linger_seconds)

    def _check_end(self) -> None:
        """Who goes on reading what waits in the kernel gets it, for as long as a stall may last."""
        reads = self._delivery.progressed(self._transport)
        if reads and self._clock.seconds() < self._linger_end:
            self._linger.set(self._limits.linger_seconds)
        else:
            self._lingered()

    def stop(self) -> None:
        """The connection is lost."""
        self._stall.clear()
        self._linger.clear()
        self._transport = None
