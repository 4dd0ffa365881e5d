"""The register: what is open, how much may be, and how it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from twisted.logger import globalLogPublisher

from relay import closing
from relay.closing import Close
from relay.records import ClosedRecord, HoldRecord
from relay.refusals import Refusal, refuse
from relay.register import Register

HOLD = HoldRecord("req_1", "192.0.2.1")
CLOSED = ClosedRecord(HOLD, None, 1000, "downstream", 1.0, "splice", {}, {})
FULL, DRAINING = refuse("relay_full"), refuse("draining")


@dataclass(eq=False)
class FakeHold:
    """Ends when told, or at once."""

    register: Register
    stays: bool = False
    ended: list[Refusal] = field(default_factory=list)

    def end(self, refusal: Refusal) -> None:
        self.ended.append(refusal)
        if not self.stays:
            self.register.holds.discard(self)
            self.register.check_drained()


@dataclass(eq=False)
class FakeSession:
    """Ends when told, or at once."""

    register: Register
    stays: bool = False
    closes: list[Close] = field(default_factory=list)

    def close(self, close: Close) -> None:
        self.closes.append(close)
        if not self.stays:
            self.register.closed(self, CLOSED)


@dataclass
class Listener:
    """Notes what it is told, and fails if it should."""

    error: Exception | None = None
    told: list[tuple[object, ...]] = field(default_factory=list)

    def _note(self, *told: object) -> None:
        self.told.append(told)
        if self.error is not None:
            raise self.error

    def opened(self, record: HoldRecord) -> None:
        self._note("opened", record)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        self._note("refused", record, refusal)

    def event(self, record: HoldRecord, event: Mapping[str, Any]) -> None:
        self._note("event", record, event)

    def closed(self, record: ClosedRecord) -> None:
        self._note("closed", record)


def fill(register: Register, holds: int = 0, sessions: int = 0) -> None:
    register.holds.update(FakeHold(register) for _ in range(holds))
    register.sessions.update(FakeSession(register) for _ in range(sessions))


class TestAdmission:
    @pytest.mark.parametrize(
        ("holds", "sessions", "expected"),
        [
            (0, 0, None),
            (1, 1, None),
            (2, 0, None),
            (0, 2, None),
            (3, 0, FULL),
            (0, 3, FULL),
            (1, 2, FULL),
            (2, 2, FULL),
        ],
    )
    def test_holds_and_sessions_count_alike(
        self, holds: int, sessions: int, expected: Refusal | None
    ) -> None:
        register = Register(3, [])
        fill(register, holds, sessions)
        assert register.admission_refusal() == expected

    def test_nobody_is_let_in_while_it_drains(self) -> None:
        register = Register(1, [])
        register.drain()
        assert register.draining
        assert register.admission_refusal() == DRAINING

    def test_draining_goes_before_full(self) -> None:
        register = Register(1, [])
        register.sessions.add(FakeSession(register, stays=True))
        register.drain()
        assert register.admission_refusal() == DRAINING


class TestListeners:
    def test_each_is_told_of_everything(self) -> None:
        listeners = [Listener(), Listener()]
        register = Register(1, listeners)
        session = FakeSession(register)
        register.sessions.add(session)
        register.refused(HOLD, DRAINING)
        register.refused(HOLD, None)
        register.opened(HOLD)
        register.event(HOLD, {"type": "error"})
        register.closed(session, CLOSED)
        expected = [
            ("refused", HOLD, DRAINING),
            ("refused", HOLD, None),
            ("opened", HOLD),
            ("event", HOLD, {"type": "error"}),
            ("closed", CLOSED),
        ]
        assert [listener.told for listener in listeners] == [expected, expected]
        assert register.sessions == set()

    def test_one_that_fails_is_logged_and_harms_nobody(self) -> None:
        last = Listener()
        register = Register(1, [Listener(RuntimeError("theirs")), last])
        logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(cast(Any, logged.append))
        try:
            register.opened(HOLD)
        finally:
            globalLogPublisher.removeObserver(cast(Any, logged.append))
        assert last.told == [("opened", HOLD)]
        (event,) = logged
        assert event["log_namespace"] == "relay.register"
        assert isinstance(event["log_failure"].value, RuntimeError)


class TestDrain:
    def test_an_empty_one_is_drained_at_once(self) -> None:
        assert Register(1, []).drain().called

    def test_holds_are_refused_and_sessions_closed(self) -> None:
        register = Register(9, [])
        fill(register, 2, 2)
        holds = cast(list[FakeHold], list(register.holds))
        sessions = cast(list[FakeSession], list(register.sessions))
        assert register.drain().called
        assert [hold.ended for hold in holds] == [[DRAINING]] * 2
        assert [session.closes for session in sessions] == [[closing.DRAIN]] * 2
        assert not register.holds
        assert not register.sessions

    def test_it_lasts_until_the_last_has_ended(self) -> None:
        register = Register(9, [])
        hold, session = FakeHold(register, stays=True), FakeSession(register, stays=True)
        register.holds.add(hold)
        register.sessions.add(session)
        drained, again = register.drain(), register.drain()
        register.closed(session, CLOSED)
        assert not drained.called
        register.holds.discard(hold)
        register.check_drained()
        assert drained.called
        assert again.called

    def test_the_end_of_the_last_without_a_drain_is_nothing(self) -> None:
        register = Register(9, [])
        fill(register, sessions=1)
        register.closed(next(iter(register.sessions)), CLOSED)
        assert not register.draining
        assert register.admission_refusal() is None
