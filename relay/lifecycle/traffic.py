"""What has crossed in the sessions that are open, looked at without keeping anybody waiting."""

from __future__ import annotations

from array import array
from operator import add

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from relay.lifecycle.register import OpenSession, Register
from relay.rules.closes import Side
from relay.telemetry.records import Traffic, no_traffic
from relay.timing.flight import Flights

SLICE = 250
"""Sessions that are looked at in one turn of the reactor. One takes 10 µs if there are many."""


class OpenTraffic:
    """
    Messages and bytes of the open sessions, by the side they came from.

    A session's own part only grows. When it ends, it is counted among those that ended, and no more
    here; so the sum of both only grows, too.
    """

    def __init__(self, register: Register, clock: IReactorTime) -> None:
        self._register = register
        self._clock = clock
        # One array instead of a value for each session, which the garbage collector would look at.
        self._sessions: list[OpenSession] = []
        self._seen = array("q")
        self._under_way: Flights[None, dict[Side, Traffic]] = Flights()

    def gather(self) -> Deferred[dict[Side, Traffic]]:
        """Look at all, L{SLICE} in a turn; return what L{gathered} returns then."""
        return self._under_way.join(None, lambda: Deferred.fromCoroutine(self._gather()))

    async def _gather(self) -> dict[Side, Traffic]:
        sessions, seen = [*self._register.sessions], array("q")
        for start in range(0, len(sessions), SLICE):
            if start:
                await deferLater(self._clock, 0)
            for session in sessions[start : start + SLICE]:
                seen.extend(_crossed(session))
        self._sessions, self._seen = sessions, seen
        return self.gathered()

    def gathered(self) -> dict[Side, Traffic]:
        """What was seen last, of the sessions that are still open."""
        still_open, seen = self._register.sessions, iter(self._seen)
        total = [0, 0, 0, 0]
        for session, crossed in zip(self._sessions, zip(*[seen] * 4, strict=True), strict=True):
            if session in still_open:
                total = [*map(add, total, crossed)]
        return {"downstream": Traffic(*total[:2]), "upstream": Traffic(*total[2:])}


def _crossed(session: OpenSession) -> tuple[int, int, int, int]:
    """Messages and bytes from downstream, then from upstream."""
    part = no_traffic()
    session.add_to(part)
    up, down = part["downstream"], part["upstream"]
    return up.messages, up.bytes, down.messages, down.bytes
