"""Notice a peer that has vanished without closing its connection."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from relay.timing.deadline import Deadline


class Keepalive:
    """
    Pings a peer that has been silent for a while, and gives it up if it stays silent.

    It checks at intervals. So a message costs setting L{heard}, and no look at a clock.

    The time for a Pong begins one turn of the reactor after the Ping: a transport may write the
    Ping only at the end of the turn, and a relay that is stopped just before that has asked nobody
    yet.

    @ivar heard: to be set at any sign of life. Also to be set while the peer is not read, when no
        sign of life could be seen.
    @param ping_seconds: between two checks; a peer that was silent in between is pinged.
    @param pong_seconds: how long a pinged peer has to send anything at all.
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

        @param ping: sends a Ping.
        @param shows_life: tells whether a peer that was not heard is there all the same; L{None} if
            that cannot be told at present. Then the peer is not given up.
        @param give_up: called once, when the peer shows no life after a Ping.
        """
        self._ping, self._shows_life, self._give_up = ping, shows_life, give_up
        self._check.set(self._ping_seconds, self._look)

    @property
    def is_pinged(self) -> bool:
        """Whether the peer was pinged and nothing was heard since."""
        return self._pinged

    def stop(self) -> None:
        """Watch no longer, and drop the references to the callbacks."""
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
            self._check.set(0, self._ping_has_left)
            self._ping()

    def _ping_has_left(self) -> None:
        self._check.set(self._pong_seconds, self._look)


def _nothing() -> None:
    """Stands in for each callback while no peer is watched."""
