"""Tells a client that its session will end, while it still has time to open another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime

from relay.rules.budgets import BudgetName, seconds_until_more
from relay.rules.closes import Close
from relay.rules.events import expires_at
from relay.rules.notices import REASONS, Reason, notice
from relay.timing.clock import epoch
from relay.timing.deadline import Deadline

AGAIN_SECONDS = 0.1
"""Seconds until the next try, where a message of upstream's is crossing or the client is behind."""


class Notices:
    """
    The notices of one session.

    @param before: how many seconds before its end they come, if there are as many.
    @param tell: sends an event, if it can stand there now; returns whether it was sent.
    """

    def __init__(
        self,
        clock: IReactorTime,
        request_id: str,
        before: float,
        tell: Callable[[bytes], bool],
    ) -> None:
        self._clock = clock
        self._request_id = request_id
        self._before = before
        self._tell = tell
        self._ends: dict[Reason, float] = {}
        self._waiting: list[Reason] = []
        self._expiry = Deadline(clock)
        self._again = Deadline(clock)

    def begin(self, ends: tuple[float, Close] | None, first: bytes) -> None:
        """
        The session is open. Of its ends, the first is told.

        @param ends: when the relay ends it, by the clock, and by which Close.
        @param first: upstream's first event, which may say when upstream does.
        """
        now, said = self._clock.seconds(), expires_at(first)
        known: list[tuple[float, Reason]] = []
        if ends is not None:
            known.append((ends[0], REASONS[ends[1]]))
        if said is not None:
            known.append((now + said - epoch(), "service"))
        for at, reason in sorted(known)[:1]:
            self._ends[reason] = at
            self._expiry.set(max(0.0, at - self._before - now), partial(self._say, reason))

    def drains(self, at: float) -> None:
        """The relay ends. From then on it closes sessions."""
        self._ends["drain"] = at
        self._say("drain")

    def of_budget(self, budget: BudgetName) -> bytes:
        """What is told with the end of the session, if that is because of a budget."""
        return notice(budget, seconds_until_more(budget, epoch()), self._request_id)

    def stop(self) -> None:
        """The session ends."""
        self._expiry.clear()
        self._again.clear()
        self._waiting = []
        self._tell = _drop

    def _say(self, reason: Reason) -> None:
        self._waiting.append(reason)
        self._try()

    def _try(self) -> None:
        while self._waiting:
            reason = self._waiting[0]
            left = self._ends[reason] - self._clock.seconds()
            if not self._tell(notice(reason, left, self._request_id)):
                self._again.set(AGAIN_SECONDS, self._try)
                return
            del self._waiting[:1]


def _drop(event: bytes) -> bool:
    """Stands in for a session that is over."""
    return True
