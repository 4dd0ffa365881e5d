"""The register: what is open, how much may be, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

import pytest
from twisted.logger import globalLogPublisher

from relay.lifecycle.register import Register
from relay.rules.closes import Close, Side
from relay.rules.refusals import Refusal, refuse
from relay.telemetry.records import ClosedRecord, HoldRecord, OpenRecord, RelayListener, Traffic

HOLD = HoldRecord("req_1", "192.0.2.1")
CLOSED = ClosedRecord(HOLD, None, 1000, "downstream", 1.0, "splice", {}, {})
FULL, DRAINING = refuse("relay_full"), refuse("draining")


@dataclass(eq=False)
class FakeHold:
    """Only counted."""

    record = HOLD

    def end(self, refusal: Refusal) -> None: ...


@dataclass(eq=False)
class FakeConnection:
    """Only counted."""

    def abort(self) -> None: ...


@dataclass(eq=False)
class FakeSession(FakeConnection):
    """Only counted."""

    is_ending = is_responding = False
    hold = HOLD
    notices = None
    began = 0.0

    def record(self) -> OpenRecord:
        raise NotImplementedError

    def watch(self, told: object, payloads: bool) -> NoReturn:
        raise NotImplementedError

    def close(self, close: Close) -> None: ...

    def add_to(self, total: Mapping[Side, Traffic]) -> None: ...


@dataclass
class Listener(RelayListener):
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
    register.holds.update(FakeHold() for _ in range(holds))
    register.sessions.update(dict.fromkeys(FakeSession() for _ in range(sessions)))


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
    def test_holds_and_sessions_count_alike_towards_the_limit(
        self, holds: int, sessions: int, expected: Refusal | None
    ) -> None:
        register = Register(3, [])
        fill(register, holds, sessions)
        assert register.admission_refusal() == expected

    def test_no_hold_is_let_in_during_a_drain(self) -> None:
        register = Register(1, [])
        register.draining = True
        assert register.admission_refusal() == DRAINING

    def test_a_full_relay_that_drains_says_draining(self) -> None:
        register = Register(1, [])
        register.sessions[FakeSession()] = None
        register.draining = True
        assert register.admission_refusal() == DRAINING


class TestListeners:
    def test_each_listener_is_told_of_everything(self) -> None:
        listeners = [Listener(), Listener()]
        register = Register(1, listeners)
        session = FakeSession()
        register.sessions[session] = None
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
        assert register.sessions == {}

    def test_a_listener_that_raises_is_logged_and_harms_no_other(self) -> None:
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
        assert event["log_namespace"] == "relay.lifecycle.register"
        assert isinstance(event["log_failure"].value, RuntimeError)


class TestEnds:
    """What waits for the last to end is told of each end."""

    def test_the_end_of_a_session_hold_or_connection_is_told(self) -> None:
        register = Register(9, [])
        session, connection = FakeSession(), FakeConnection()
        register.sessions[session] = None
        register.connections.add(connection)
        told: list[tuple[int, int]] = []
        register.ended = lambda: told.append((len(register.sessions), len(register.connections)))
        register.closed(session, CLOSED)
        register.gone(connection)
        register.refused(HOLD, None)
        assert told == [(0, 1), (0, 0), (0, 0)]

    def test_an_end_that_is_not_waited_for_is_no_error(self) -> None:
        register = Register(9, [])
        register.gone(FakeConnection())
        assert register.connections == set()
