"""What is open: every hold and every session of one factory, and who is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay import closing
from relay.closing import Close
from relay.records import ClosedRecord, HoldRecord, RelayListener
from relay.refusals import Refusal, refuse

_log = Logger()


class OpenHold(Protocol):
    """A hold, as the register sees it."""

    def end(self, refusal: Refusal) -> None:
        """End it with a refusal."""


class OpenSession(Protocol):
    """A session, as the register sees it."""

    def close(self, close: Close) -> None:
        """End it on both sides."""


class Register:
    """
    Keeps count: opened = closed + active.

    @ivar holds: those not yet answered.
    @ivar sessions: those with a connection left.
    @ivar draining: whether nothing new is let in.
    """

    def __init__(self, capacity: int, listeners: Sequence[RelayListener]) -> None:
        self.holds: set[OpenHold] = set()
        self.sessions: set[OpenSession] = set()
        self.draining = False
        self._capacity = capacity
        self._listeners = listeners
        self._drained: list[Deferred[None]] = []

    def admission_refusal(self) -> Refusal | None:
        """Why there is no room for another hold, if there is none."""
        if self.draining:
            return refuse("draining")
        if len(self.holds) + len(self.sessions) >= self._capacity:
            return refuse("relay_full")
        return None

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Tell of a hold that ended without a session."""
        self._tell(lambda listener: listener.refused(record, refusal))

    def opened(self, record: HoldRecord) -> None:
        """Tell of a hold that ended with a session."""
        self._tell(lambda listener: listener.opened(record))

    @property
    def listens(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._listeners)

    def event(self, hold: HoldRecord, event: Mapping[str, Any]) -> None:
        """Tell what an upstream told."""
        self._tell(lambda listener: listener.event(hold, event))

    def closed(self, session: OpenSession, record: ClosedRecord) -> None:
        """A session ended: forget it and tell of it."""
        self.sessions.discard(session)
        self._tell(lambda listener: listener.closed(record))
        self.check_drained()

    def _tell(self, call: Callable[[RelayListener], None]) -> None:
        for listener in self._listeners:
            try:
                call(listener)
            except Exception:
                _log.failure("a listener failed")

    def drain(self) -> Deferred[None]:
        """
        Let nothing new in, refuse what is held, close every session with 1012.

        @return: fires when nothing is open any more; the close deadlines bound that.
        """
        self.draining = True
        for hold in list(self.holds):
            hold.end(refuse("draining"))
        for session in list(self.sessions):
            session.close(closing.DRAIN)
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        self.check_drained()
        return drained

    def check_drained(self) -> None:
        """Something ended; was it the last?"""
        if not self.holds and not self.sessions:
            drained, self._drained = self._drained, []
            for waiting in drained:
                waiting.callback(None)
