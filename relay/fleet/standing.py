"""Whether the store decides, or the relay itself as its mode says."""

from __future__ import annotations

from typing import Literal

State = Literal["starting", "up", "settling", "down", "left"]


class Standing:
    """
    How the store stands.

    C{starting}: there was no connection yet. C{up}: it decides. C{settling}: it answers, but may
    not know of all sessions yet. C{down}: it does not answer. C{left}: it is asked no more,
    whatever comes.

    @ivar since: since when that is so, in seconds by the caller's clock.
    @ivar why: why it is down; else empty.
    """

    def __init__(self, now: float) -> None:
        self.state: State = "starting"
        self.since = now
        self.why = ""

    @property
    def is_up(self) -> bool:
        """Whether the store decides."""
        return self.state == "up"

    @property
    def answers(self) -> bool:
        """Whether the store is to be asked."""
        return self.state in ("up", "settling")

    def become(self, state: State, now: float, why: str = "") -> bool:
        """
        @param why: why it is down; the latest reason is kept.
        @return: whether that is a change.
        """
        if self.state in (state, "left"):
            self.why = why
            return False
        self.state, self.since, self.why = state, now, why
        return True
