"""
The end of a relay: let nothing new in, give time to what is open, then close it, spread out and
within a bound.

If a thousand clients were closed all at once, they would connect again all at once, to the other
relays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Literal, ParamSpec

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.config.settings import Settings
from relay.lifecycle.register import OpenConnection, OpenSession, Register
from relay.rules import closes
from relay.rules.refusals import refuse
from relay.timing.deadline import Deadline

_log = Logger()

Phase = Literal["serving", "leaving", "draining", "finishing", "cutting", "ended"]
"""
C{leaving}: no longer ready, but still accepting. C{draining}: nothing new is let in.
C{finishing}: all sessions and holds have ended, only answers are still on their way. C{cutting}:
all that is still open is dropped.
"""

GRACE_SECONDS = 0.4
"""Seconds from the deadline until all is cut: time for the last Closes and answers to cross."""

CUT_SECONDS = 0.25
"""Seconds from the cut until the drain is over, whatever is still open."""

BATCH = 50
"""Most holds, sessions or connections ended in one turn, so that a turn takes less than 50 ms."""

TICK = 0.02
"""Least seconds between two turns in which some are closed."""

BREATH = 0.001
"""Seconds between two such turns once the time is up, so that other work gets its turns."""

SETTLE_SECONDS = 1.0
"""
How long a client that was accepted may still ask, where nobody new is (see L{Drain.begin}): so long
after another has asked, because a busy relay reads them late. At most half the drain.
"""


Ps = ParamSpec("Ps")


def _alone(end: Callable[Ps, object], *args: Ps.args, **kwargs: Ps.kwargs) -> None:
    """End one of many. An exception from it is logged, and does not keep the others open."""
    try:
        end(*args, **kwargs)
    except Exception:
        _log.failure("exception while ending what is open")


class Pace:
    """
    How many sessions to close when, so that all are closed evenly until a deadline, even if some
    end by themselves and steps come late.

    @ivar deadline: in seconds, by the clock.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._due = 1.0
        self._rate = 0.0  # sessions a second, since the last step
        self._last = 0.0

    def step(self, remaining: int, now: float) -> tuple[int, float]:
        """
        How many sessions to close now, and the seconds until the next step.

        @param remaining: how many are still to be closed.
        """
        seconds = max(0.0, self.deadline - now)
        if not remaining or not seconds:
            self._rate = 0.0
            return min(remaining, BATCH), seconds or BREATH
        self._due += self._rate * (now - self._last)
        count = min(int(self._due + 1e-6), remaining, BATCH)
        self._due -= count
        self._rate, self._last = remaining / seconds, now
        return count, max(TICK, (1 - self._due) / self._rate)


class Drain:
    """
    Ends all that a L{Register} knows.

    @ivar phase: see L{Phase}.
    @ivar settings: with its times.
    """

    def __init__(self, register: Register, settings: Settings, clock: IReactorTime) -> None:
        self.phase: Phase = "serving"
        self._register = register
        self.settings = settings
        self._clock = clock
        self._pace = Pace(0.0)
        self._step = Deadline(clock)
        self._bound = Deadline(clock)
        self._telling = Deadline(clock)
        self._to_cut: list[OpenSession | OpenConnection] = []
        self._shut: Callable[[], object] | None = None
        self._waiting: list[Deferred[None]] = []

    def begin(self, shut: Callable[[], object] | None = None) -> Deferred[None]:
        """
        Begin, unless it has begun.

        @param shut: called when nothing new is to be let in, to stop accepting clients, if they can
            wait in the listener's queue for another process. Then who was accepted before is not
            refused, though its request may come later.
        @return: fires when all is over, at most a second after C{drain_delay_seconds} and
            C{drain_seconds}; sooner if all ends sooner.
        """
        if self.phase == "ended":
            return succeed(None)
        drained: Deferred[None] = Deferred()
        self._waiting.append(drained)
        if self.phase == "serving":
            self._shut = shut
            self._leave()
        return drained

    def cut(self) -> None:
        """Drop every connection now, which ends a drain that is under way."""
        if self.phase in ("cutting", "ended"):
            return
        if self._register.sessions or self._register.holds:
            _log.warn("cutting {open}", open=self._open)
        self._refuse("cutting")
        self._bound.set(CUT_SECONDS, self._end)
        self._to_cut = [*self._register.sessions, *self._register.connections]
        self._cut_some()
        self._look()

    @property
    def _open(self) -> str:
        return f"{len(self._register.sessions)} sessions and {len(self._register.holds)} holds"

    # -- its phases ------------------------------------------------------------------------

    def _leave(self) -> None:
        settings = self.settings
        self.phase = "leaving"
        _log.info(
            "draining {open}: accepting for {delay:g} s more, then {seconds:g} s for what is open"
            " to end, in the last {spread:g} of which it is closed",
            open=self._open,
            delay=settings.drain_delay_seconds,
            spread=settings.drain_spread,
            seconds=settings.drain_seconds,
        )
        closes_in = settings.drain_delay_seconds + settings.drain_seconds - settings.drain_spread
        at = self._clock.seconds() + closes_in
        self._tell_some(at, [each for each in self._register.sessions if each.notices])
        if settings.drain_delay_seconds:
            self._step.set(settings.drain_delay_seconds, self._drain)
        else:
            self._drain()

    def _tell_some(self, at: float, sessions: list[OpenSession]) -> None:
        """Tell those of the drain that asked for it, some in each turn."""
        for session in sessions[:BATCH]:
            if session.notices is not None:
                _alone(session.notices.drains, at)
        if sessions[BATCH:] and self.phase in ("leaving", "draining"):
            self._telling.set(BREATH, partial(self._tell_some, at, sessions[BATCH:]))

    def _refuse(self, phase: Phase) -> None:
        self.phase = phase
        self._register.draining = True
        self._register.ended = self._look

    def _drain(self) -> None:
        seconds = self.settings.drain_seconds
        _log.info("accepting nothing new; open: {open}", open=self._open)
        now = self._clock.seconds()
        self._pace = Pace(now + seconds)
        self._bound.set(seconds + GRACE_SECONDS, self.cut)
        if self._shut is not None:
            self._shut()
            self._settle(len(self._register.silent), now)
        else:
            self._refuse_all()

    def _settle(self, before: int, since: float) -> None:
        """
        Nobody is accepted any more: wait for the requests of those who were.

        @param before: how many of them were silent when one last asked.
        @param since: when that was.
        """
        silent, now = len(self._register.silent), self._clock.seconds()
        if silent < before:
            since = now
        until = min(since + SETTLE_SECONDS, self._pace.deadline - self.settings.drain_seconds / 2)
        if silent and now < until:
            self._step.set(TICK, partial(self._settle, silent, since))
        else:
            self._refuse_all()

    def _refuse_all(self) -> None:
        self._refuse("draining")
        closes_at = self._pace.deadline - self.settings.drain_spread
        self._step.set(max(0.0, closes_at - self._clock.seconds()), self._begin_to_close)
        self._look()

    def _begin_to_close(self) -> None:
        _log.info("closing {open}", open=self._open)
        self._close_some()

    def _close_some(self) -> None:
        now = self._clock.seconds()
        sessions = self._in_order()
        count, wait = self._pace.step(len(sessions), now)
        for session in sessions[:count]:
            _alone(session.close, closes.DRAIN)
        time_is_up = now >= self._pace.deadline
        if time_is_up:
            for hold in list(islice(self._register.holds, BATCH)):
                _alone(hold.end, refuse("draining"))
        goes_on = not time_is_up or self._register.holds or sessions[count:]
        if self.phase == "draining" and goes_on:
            self._step.set(wait, self._close_some)

    def _in_order(self) -> list[OpenSession]:
        """The sessions to close; first those in which no response is under way."""
        going_on = [session for session in self._register.sessions if not session.is_ending]
        return sorted(going_on, key=lambda session: session.is_responding)

    def _cut_some(self) -> None:
        some, self._to_cut = self._to_cut[:BATCH], self._to_cut[BATCH:]
        for each in some:
            _alone(each.abort)
        if self._to_cut:
            self._step.set(BREATH, self._cut_some)

    def _look(self) -> None:
        """Something has ended: go on if it was the last."""
        register = self._register
        if register.sessions or register.holds:
            return
        if not register.connections:
            self._end()
        elif self.phase == "draining":
            self.phase = "finishing"
            self._step.clear()
            self._bound.set(GRACE_SECONDS, self._end)

    def _end(self) -> None:
        if self.phase == "ended":
            return
        self.phase = "ended"
        self._step.clear()
        self._bound.clear()
        self._telling.clear()
        self._to_cut = []
        _log.info("drained")
        waiting, self._waiting = self._waiting, []
        for drained in waiting:
            drained.callback(None)
