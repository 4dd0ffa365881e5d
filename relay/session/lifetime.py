"""How long a session may last, and how long nothing may cross in it."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from twisted.internet.interfaces import IReactorTime

from relay.admission.quota import Pace
from relay.rules.closes import EXPIRED, IDLE, TOO_LONG, Close
from relay.timing.deadline import Deadline

LOOKS = 4
"""Looks in the time of being idle: a session may be idle for a quarter of it longer."""


class Lifetime:
    """
    Ends a session that is too old, whose grant has expired, or that is idle.

    @ivar ends: when it ends in any case, by the clock, and with which Close; L{None} if that is not
        known.
    @param expires_in: seconds until the grant expires, if the session ends with it.
    @param crossed: tells how much has crossed so far.
    @param end: ends the session.
    """

    __slots__ = ("_crossed", "_deadline", "_end", "_idle", "_moved", "_now", "_seen", "ends")

    def __init__(
        self,
        clock: IReactorTime,
        pace: Pace,
        expires_in: float | None,
        crossed: Callable[[], int],
        end: Callable[[Close], None],
    ) -> None:
        self._now = clock.seconds
        ends = [(pace.session_seconds, TOO_LONG)] if pace.session_seconds else []
        ends += [(expires_in, EXPIRED)] if expires_in is not None else []
        in_order = sorted(((clock.seconds() + s, close) for s, close in ends), key=itemgetter(0))
        self.ends: tuple[float, Close] | None = next(iter(in_order), None)
        self._idle = pace.idle_seconds
        self._moved = clock.seconds()
        self._seen = 0
        self._crossed = crossed
        self._end = end
        self._deadline = Deadline(clock)

    def begin(self) -> None:
        """The session is open, and what upstream had said has crossed."""
        self._seen = self._crossed()
        self._wait()

    def _wait(self) -> None:
        waits = [self.ends[0] - self._now()] if self.ends is not None else []
        waits += [self._idle / LOOKS] if self._idle else []
        if waits:
            self._deadline.set(max(0.0, min(waits)), self._look)

    def stop(self) -> None:
        """The session ends: forget it, because it refers to this object."""
        self._deadline.clear()
        self._crossed, self._end = _nothing, _drop

    def _look(self) -> None:
        now, crossed = self._now(), self._crossed()
        if crossed != self._seen:
            self._seen, self._moved = crossed, now
        if self.ends is not None and now >= self.ends[0]:
            self._end(self.ends[1])
        elif self._idle and now - self._moved >= self._idle:
            self._end(IDLE)
        else:
            self._wait()


def _nothing() -> int:
    """Stands in for the session that is over."""
    return 0


def _drop(close: Close) -> None:
    """Stands in for it likewise."""
