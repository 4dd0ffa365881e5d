"""Notice a peer that is gone without a word."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.deadline import Deadline, weakly


class Keepalive:
    """
    Pings a peer that has been silent for a while, and gives it up if it stays so.

    It looks from time to time, so a message costs the setting of L{heard} and no look at a clock.

    @ivar heard: to be set at any sign of life, and where nobody was listening for one.
    @param ping_seconds: between two looks: who was silent from one to the other is pinged.
    @param pong_seconds: how long it has then to send anything at all.
    @param ping: pings, and returns whether an answer would be seen.
    @param give_up: called once, if none came.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ping_seconds: float,
        pong_seconds: float,
        ping: Callable[[], bool],
        give_up: Callable[[], None],
    ) -> None:
        self.heard = False
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        self._ping = weakly(ping)
        self._give_up = weakly(give_up)
        self._pinged = False
        self._check = Deadline(clock, self._look)

    def start(self) -> None:
        """Begin to watch."""
        self._check.set(self._ping_seconds)

    def stop(self) -> None:
        """Watch no longer."""
        self._check.clear()

    def _look(self) -> None:
        if self.heard:
            self.heard = self._pinged = False
            self._check.set(self._ping_seconds)
        elif self._pinged:
            self._give_up()
        else:
            self._pinged = self._ping()
            self._check.set(self._pong_seconds)
