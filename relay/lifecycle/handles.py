"""Open sessions as handles: list them, and end one or all of a subject's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from attrs import field, frozen

from relay.lifecycle.register import OpenHold, OpenSession, Register
from relay.rules.closes import REVOKED, ended
from relay.rules.refusals import refuse
from relay.telemetry.crossings import Crossings
from relay.telemetry.records import HoldRecord, OpenRecord
from relay.timing.turns import Turns

REVOKED_HOLD = "Your access to this relay was withdrawn."

BY_OPERATOR = "ended by its operator"

HOLD_SECONDS = 1.0
"""A hold that is open now may have begun before what happened less long ago."""


@frozen
class SessionHandle:
    """An open session. It stays valid once the session is over; then L{close} does nothing."""

    _session: OpenSession = field(alias="session")

    @property
    def hold(self) -> HoldRecord:
        """Whose session it is: its id, subject, model, upstream and peer."""
        return self._session.hold

    @property
    def began(self) -> float:
        """When it was opened, by the relay's clock."""
        return self._session.began

    def record(self) -> OpenRecord:
        """How it is going now."""
        return self._session.record()

    def watch(
        self, told: Callable[[Crossings], None], *, payloads: bool = False
    ) -> Callable[[], None]:
        """
        Watch what crosses it, as the client sees it: no hidden instructions of a policy are seen.
        A message that is crossing already is not told. An exception out of C{told} ends the
        watching, and is logged.

        @param told: called ten times a second while messages cross; at last with the record of the
            session's end. It is never called for a session that is over.
        @param payloads: whether to tell what the messages say, too.
        @return: what ends the watching; it may be called more than once.
        """
        return self._session.watch(told, payloads)

    def close(self, why: str = BY_OPERATOR) -> None:
        """
        End it on both sides, with 1008 and the event C{ended_by_operator}.

        @param why: is told to the client; of the Close's reason at most 123 bytes are sent.
        """
        if not self._session.is_ending:
            self._session.close(ended("ended_by_operator", why, why))


class Handles:
    """
    The sessions of a register.

    @param turns: spreads the end of many over the turns of the reactor.
    @param tell: is told of each subject that is revoked here.
    @param now: the time, by the sessions' clock.
    """

    def __init__(
        self,
        register: Register,
        turns: Turns,
        tell: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        self._register = register
        self._turns = turns
        self._tell = tell
        self._now = now

    def find(
        self,
        *,
        subject: str | None = None,
        model: str | None = None,
        upstream: str | None = None,
        id: str | None = None,
    ) -> Iterator[SessionHandle]:
        """Those of this subject, model, upstream and request id; L{None} stands for any."""
        wanted = {"subject": subject, "model": model, "upstream": upstream, "request_id": id}
        asked = [(name, value) for name, value in wanted.items() if value is not None]
        for session in list(self._register.sessions):
            if all(getattr(session.hold, name) == value for name, value in asked):
                yield SessionHandle(session)

    def revoke(self, subject: str) -> int:
        """
        End all sessions of a subject with 1008 and the event C{revoked}, and refuse its holds, and
        the ephemeral secrets that were minted for it; in turns, so that nobody else waits for it.
        Where relays are a fleet, all of them do.

        @return: how many sessions and holds there are here.
        """
        self._tell(subject)
        return self.end(subject)

    def end(self, subject: str, seconds: float = 0.0) -> int:
        """
        The same, here only.

        @param seconds: how long ago it was revoked. What began later stays.
        """
        until = self._now() - seconds
        sessions = [
            each
            for each in self._register.sessions
            if each.hold.subject == subject and each.began <= until
        ]
        holds = [
            hold
            for hold in self._register.holds
            if hold.record.subject == subject and seconds < HOLD_SECONDS
        ]
        for session in sessions:
            self._turns.later(partial(_end, session))
        for hold in holds:
            self._turns.later(partial(_refuse, hold))
        return len(sessions) + len(holds)


def _end(session: OpenSession) -> None:
    if not session.is_ending:
        session.close(REVOKED)


def _refuse(hold: OpenHold) -> None:
    hold.end(refuse("unauthorized", REVOKED_HOLD))
