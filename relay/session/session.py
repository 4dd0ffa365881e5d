"""A session: the pair of an open downstream and an open upstream, and its life."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, Protocol

from attrs import evolve
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.admission.budgets import Account, End
from relay.admission.callers import Visit
from relay.admission.grant import Grant
from relay.admission.policy import policy_of
from relay.admission.quota import pace_of
from relay.config.settings import Settings
from relay.dial.opened import OpenUpstream
from relay.peer.interfaces import Downstream, PeerListener
from relay.rules import closes
from relay.rules.budgets import BudgetName
from relay.rules.closes import FAILED, Close, Side
from relay.rules.losses import Loss
from relay.rules.said import Said
from relay.rules.scrub import redact
from relay.rules.subprotocols import NOTICES
from relay.session.checked import checking
from relay.session.ending import Ending
from relay.session.glance import Seen, View
from relay.session.last_words import LastWords
from relay.session.lifetime import Lifetime
from relay.session.notices import Notices
from relay.session.plane import plane_for
from relay.session.tally import Tally, TallyOwner
from relay.session.viewers import Viewers
from relay.session.watch import Watch, show_words
from relay.telemetry.crossings import Watcher
from relay.telemetry.records import ClosedRecord, HoldRecord, OpenRecord, Traffic, no_traffic
from relay.timing.clock import epoch

_log = Logger()


def opposite(side: Side) -> Side:
    """The other side."""
    return "upstream" if side == "downstream" else "downstream"


class SessionOwner(TallyOwner, Protocol):
    """What is told of sessions."""

    def closed(self, session: Session, record: ClosedRecord) -> None:
        """Both connections of C{session} are gone."""


class Session(PeerListener):
    """
    Two peers joined: what one receives the other sends, and the end of one ends the other.

    It listens to both peers. Messages go straight to the plane. What the end of one side means for
    the other is read from L{relay.rules.closes}. An exception anywhere in a session ends both sides
    (L{failed}) and goes no further: the peers have walls around what is called from outside, and
    L{start}, L{close} and L{abort} catch what they raise.

    @ivar hold: the record of the hold that it began with.
    @ivar began: when it was opened, by the clock.
    @ivar notices: tells the client of its end in time; L{None} if it did not ask for that.
    @param account: opens what it may spend, given what ends it when that is used up.
    @param offered: the subprotocols that the client has offered.
    """

    def __init__(
        self,
        downstream: Downstream,
        opened: OpenUpstream,
        grant: Grant,
        visit: Visit,
        account: Callable[[End], Account],
        hold: HoldRecord,
        clock: IReactorTime,
        settings: Settings,
        owner: SessionOwner,
        offered: Sequence[str] = (),
    ) -> None:
        self._peers: dict[Side, Downstream] = {
            "downstream": downstream,
            "upstream": opened.protocol,
        }
        pace = pace_of(grant.limits, settings.limits)
        if not downstream.speaks:  # else its silence would be taken for idleness
            pace = evolve(pace, idle_seconds=0)
        # Before the plane is made, which asks the peer whether it has a limit.
        downstream.limit(pace.messages_per_second, pace.bytes_per_second, self._sent_too_much)
        self._account = account(self._used_up)
        self._tally = Tally(hold, clock, owner, self._account.report)
        self._opened = opened
        self.hold = hold
        peek = self._tally.peek() if opened.shaped else None
        policy = policy_of(grant, settings) if downstream.speaks else None
        checked = checking(policy, hold.request_id, downstream, opened, peek, self._rejected)
        self._plane = plane_for(
            settings.plane, downstream, opened.protocol, settings.limits, peek, checked
        )
        self.message = self._plane.message  # type: ignore[method-assign]  # saves a call a message
        self._visit = visit
        self._clock = clock
        self._owner = owner
        self.began = clock.seconds()
        left = grant.seconds_left(epoch())
        self._lifetime = Lifetime(clock, pace, left, self._crossed, self.close)
        wants = NOTICES in offered
        before = settings.notice_seconds
        self.notices = Notices(clock, hold.request_id, before, self._tell) if wants else None
        tells = settings.closes == "event" and opened.shaped
        self._last_words = LastWords(hold.request_id, tells, self.notices, self._tally)
        self._watch: Watch | None = None
        self._viewers: Viewers | None = None
        # A service ends the sideband of a call that its client has ended.
        self._ending = Ending(
            self._begins_to_end, "downstream" if downstream.speaks else "upstream"
        )
        self._has_failed = self._is_over = False

    def _rejected(self, said: Said) -> None:
        """Upstream did not take the policy, so the session would go on without it."""
        text = "session {id}: the upstream rejects what [policy] sets: {said}"
        said_here = redact(f"{', '.join(said.codes)}: {said.message}", self._opened.secrets)
        _log.error(text, id=self.hold.request_id, said=said_here)
        self.close(closes.REJECTED)

    def watch(self, told: Watcher, payloads: bool) -> Callable[[], None]:
        """Tell C{told} what crosses, and at last of the end; return what ends that."""
        if self._watch is None:
            self._watch = Watch(self._clock, self.began, self._opened.secrets, self.show)
        return self._watch.add(told, payloads)

    def show(self, view: View, most: int) -> Callable[[], None]:
        """
        Show each message from now on, before it crosses.

        @param most: bytes of each, from its start.
        @return: what ends that.
        """
        if self._viewers is None:
            self._viewers = Viewers(self._show)
        return self._viewers.add(view, most)

    def _show(self, seen: Seen | None) -> None:
        self._plane.watch(seen)
        self.message = self._plane.message  # type: ignore[method-assign]
        if "downstream" in self._peers:
            show_words(self._peers["downstream"], seen)

    def start(self) -> None:
        """Join the peers; upstream's first event crosses before anything else."""
        downstream, upstream = self._peers["downstream"], self._peers["upstream"]
        downstream.source, upstream.source = upstream, downstream
        upstream.listen(self)
        downstream.listen(self)
        downstream.watch()
        try:
            self._plane.start(self._opened.first)
            if not self.is_ending:
                self._lifetime.begin()
                if self.notices is not None:
                    first = self._opened.first[0][0] if self._opened.first else b""
                    self.notices.begin(self._lifetime.ends, first)
        except Exception:
            self.failed("downstream", Failure())
        self._opened.first.clear()  # else they would be kept as long as the session

    def _tell(self, event: bytes) -> bool:
        try:
            return self._peers["downstream"].tell(event)
        except Exception:
            self.failed("downstream", Failure())
            return True

    def close(self, close: Close) -> None:
        """End the session with this Close to both sides."""
        try:
            self._close(close)
        except Exception:
            self.failed("downstream", Failure())

    def abort(self) -> None:
        """Drop both connections now."""
        self._ending.because(closes.DRAIN.code, "relay")
        try:
            self._abort()
        except Exception:
            self.failed("downstream", Failure())

    def _sent_too_much(self) -> None:
        """Downstream was held back, and went on sending more than it may."""
        self.close(closes.TOO_MUCH)

    def _used_up(self, budget: BudgetName) -> None:
        if not self.is_ending:
            self._ending.budget = budget
            self.close(closes.USED_UP[budget])

    def _crossed(self) -> int:
        """How much has crossed: messages, and bytes, also of one that is under way."""
        return sum(each.messages + each.bytes for each in self._sent().values())

    def _sent(self) -> dict[Side, Traffic]:
        """What has crossed so far, by the side it came from."""
        total = no_traffic()
        self._plane.add_to(total)
        return total

    def _close(self, close: Close) -> None:
        self._ending.because(close.code, "relay")
        for peer in list(self._peers.values()):
            peer.close(close)

    def _abort(self) -> None:
        for peer in list(self._peers.values()):
            peer.abort()

    @property
    def is_ending(self) -> bool:
        """Whether the session's end has begun."""
        return self._ending.has_begun

    @property
    def is_responding(self) -> bool:
        """Whether upstream is known to be in the middle of a response."""
        return self._tally.is_responding

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add messages and bytes that crossed so far, by the side they came from."""
        self._plane.add_to(total)

    def record(self) -> OpenRecord:
        """How it is going now."""
        is_open: Literal["open", "responding"] = "responding" if self.is_responding else "open"
        return OpenRecord(
            self.hold,
            self._opened.session_id,
            "ending" if self.is_ending else is_open,
            self._clock.seconds() - self.began,
            self._plane.name,
            self._sent(),
            dict(self._tally.tokens),
        )

    # -- PeerListener ----------------------------------------------------------------------

    def closed(self, side: Side, close: Close) -> None:
        """Pass a Close on by the table. Its reason is redacted, because it may quote the key."""
        self._ending.closed(close.code, side)
        reason = redact(close.reason, self._opened.secrets)
        self._close_other(side, closes.crossing(side, close.code, reason))

    def faulted(self, side: Side, close: Close) -> None:
        """Tell the other side which side broke what."""
        self._ending.because(close.code, "relay")
        self._close_other(side, closes.fault(side, close.reason.removeprefix("relay: ")))

    def last_words(self, side: Side, close: Close) -> Sequence[bytes]:
        """What downstream is told before its Close; upstream is told nothing."""
        if side == "upstream":
            return ()
        return self._last_words.before(close, self._ending.budget, self._clock.seconds())

    def silent(self, side: Side) -> None:
        """Tell the other side that this one is silent."""
        close = closes.SILENT[side]
        self._ending.lost(close.code, side, Loss("silence"))
        self._close_other(side, close)

    def stalled(self, side: Side) -> None:
        """Tell the other side that this one does not read."""
        self._ending.because(closes.STALLED, "relay")
        self._ending.stalled = self._ending.stalled or side
        self._close_other(side, closes.STUCK[side])

    def lost(self, side: Side, reason: Failure) -> None:
        """End the other side; if that is gone too, end the session."""
        close = closes.LOST[side]
        peer = self._peers.pop(side, None)
        is_end = reason.check(ConnectionDone) is not None
        loss = Loss("end" if is_end else "break", None if peer is None else peer.quiet_seconds)
        self._ending.lost(close.code, side, loss)
        self._plane.lost(side)
        self._close_other(side, close)
        for survivor in self._peers.values():
            survivor.source = None
        self._finish()

    def failed(self, side: Side, failure: Failure) -> None:
        """
        The relay itself failed: log it, close both sides, and if that raises too, drop them.

        Exceptions while ending are not logged: they follow from the first one.
        """
        if not self._has_failed:
            text = "session {id} failed at its {side} side"
            _log.failure(text, failure, id=self.hold.request_id, side=side)
        ends = (self._abort,) if self._has_failed else (partial(self._fail, side), self._abort)
        self._has_failed = True
        self._ending.because(FAILED.code, "relay")
        for end in ends:
            try:
                end()
                self._finish()
                return
            except Exception:  # nosec B112
                continue
        self._peers.clear()
        self._finish()

    def _fail(self, side: Side) -> None:
        """Close both sides, and read no more frames of the side that the exception came from."""
        self._close_other(side, FAILED)
        peer = self._peers.get(side)
        if peer is not None:
            peer.end_in_error()

    def _begins_to_end(self) -> None:
        self._lifetime.stop()
        if self.notices is not None:
            self.notices.stop()

    def _close_other(self, side: Side, close: Close) -> None:
        peer = self._peers.get(opposite(side))
        if peer is not None:
            peer.close(close)

    def _finish(self) -> None:
        """Tell the owner of the end, once both connections are gone."""
        if self._peers or self._is_over:
            return
        self._is_over = True
        self._account.close()
        seconds = self._clock.seconds() - self.began
        self._visit.closed(seconds, self._ending.was_done)
        sent = no_traffic()
        try:
            self._plane.add_to(sent)
        except Exception:
            _log.failure("could not count what crossed in {id}", id=self.hold.request_id)
        record = ClosedRecord(
            self.hold,
            self._opened.session_id,
            self._ending.code,
            self._ending.by,
            seconds,
            self._plane.name,
            sent,
            self._tally.tokens,
            self._ending.stalled,
            usage_seconds=self._tally.seconds,
            responses=self._tally.responses,
            turns=self._tally.turns,
            budget=self._ending.budget,
            loss=self._ending.loss,
        )
        if self._watch is not None:
            self._watch.end(record)
        self._owner.closed(self, record)
