"""Notice a peer that is gone without a word."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.timing.deadline import Deadline


class Keepalive:
    """
    Pings a peer that has been silent for a while, and gives it up if it stays so.

    It looks from time to time, so a message costs the setting of L{heard} and no look at a clock.

    @ivar heard: to be set at any sign of life, and where nobody was listening for one.
    @param ping_seconds: between two looks: who was silent from one to the other is pinged.
    @param pong_seconds: how long it has then to send anything at all.
    """

    __slots__ = (
        "_check",
        "_give_up",
        "_ping",
        "_ping_seconds",
        "_pinged",
        "_pong_seconds",
        "_shows_life",
        "heard",
    )

    def __init__(self, clock: IReactorTime, ping_seconds: float, pong_seconds: float) -> None:
        self.heard = False
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        self._ping: Callable[[], object] = _nothing
        self._shows_life: Callable[[], bool | None] = _nothing
        self._give_up: Callable[[], object] = _nothing
        self._pinged = False
        self._check = Deadline(clock)

    def start(
        self,
        ping: Callable[[], object],
        shows_life: Callable[[], bool | None],
        give_up: Callable[[], object],
    ) -> None:
        """
        Begin to watch.

        @param ping: pings.
        @param shows_life: whether a peer that was not heard is there all the same; L{None} if that
            cannot be told at present: then it is not given up.
        @param give_up: called once, if it shows none.
        """
        self._ping, self._shows_life, self._give_up = ping, shows_life, give_up
        self._check.set(self._ping_seconds, self._look)

    def stop(self) -> None:
        """Watch no longer, and let go of what would be called."""
        self._check.clear()
        self._ping = self._shows_life = self._give_up = _nothing

    def _look(self) -> None:
        lives = self.heard or self._shows_life()
        if lives:
            self.heard = self._pinged = False
            self._check.set(self._ping_seconds, self._look)
        elif self._pinged and lives is not None:
            self._give_up()
        else:
            self._pinged = lives is not None
            self._check.set(self._pong_seconds, self._look)
            self._ping()


def _nothing() -> None:
    """Nobody is watched."""
