"""The drain: its phases, how it spreads closes, and that it is bounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from relay import Settings
from relay.lifecycle.drain import (
    BATCH,
    BREATH,
    CUT_SECONDS,
    GRACE_SECONDS,
    SETTLE_SECONDS,
    TICK,
    Drain,
    Pace,
)
from relay.lifecycle.register import Register
from relay.rules import closes
from relay.rules.closes import Close, Side
from relay.rules.refusals import Refusal, refuse
from relay.telemetry.records import ClosedRecord, HoldRecord, OpenRecord, Traffic

HOLD = HoldRecord("req_1", "192.0.2.1")
CLOSED = ClosedRecord(HOLD, None, 1000, "downstream", 1.0, "splice", {}, {})


@dataclass(eq=False)
class Session:
    """Ends when told, unless it is stuck."""

    stage: Stage
    is_responding: bool = False
    stuck: bool = False
    is_ending: bool = False
    closed_at: float | None = None
    aborted_at: float | None = None
    hold = HOLD
    notices = None
    began = 0.0

    def record(self) -> OpenRecord:
        raise NotImplementedError

    def watch(self, told: object, payloads: bool) -> NoReturn:
        raise NotImplementedError

    def close(self, close: Close) -> None:
        assert close == closes.DRAIN
        assert not self.is_ending
        self.is_ending = True
        self.closed_at = self.stage.clock.seconds()
        if not self.stuck:
            self.end()

    def abort(self) -> None:
        self.aborted_at = self.stage.clock.seconds()
        self.stage.clock.callLater(0, self.end)

    def add_to(self, total: Mapping[Side, Traffic]) -> None: ...

    def end(self) -> None:
        self.stage.register.closed(self, CLOSED)


@dataclass(eq=False)
class Hold:
    """Ends when told."""

    stage: Stage
    ended: list[tuple[Refusal, float]] = field(default_factory=list)
    record = HOLD

    def end(self, refusal: Refusal) -> None:
        self.ended.append((refusal, self.stage.clock.seconds()))
        self.stage.register.holds.discard(self)
        self.stage.register.refused(HOLD, refusal)


@dataclass(eq=False)
class Connection:
    """Ends only by a test's hand."""

    stage: Stage
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True

    def end(self) -> None:
        self.stage.register.gone(self)


class Stage:
    """A drain of its own register, on a clock that begins at 0."""

    def __init__(self, delay: float = 0, seconds: float = 30, spread: float | None = None) -> None:
        self.clock = Clock()
        self.register = Register(1_000_000, [])
        settings = Settings(
            drain_delay_seconds=delay, drain_seconds=seconds, drain_spread_seconds=spread
        )
        self.drain = Drain(self.register, settings, self.clock)
        self.over: list[float] = []

    def begin(self, shut: Callable[[], object] | None = None) -> None:
        self.drain.begin(shut).addCallback(lambda _: self.over.append(self.clock.seconds()))

    def until(self, seconds: float) -> None:
        """Let time pass in steps of a millisecond; an event is at most that late."""
        while self.clock.seconds() < seconds - 1e-9:
            self.clock.advance(min(0.001, seconds - self.clock.seconds()))

    def session(self, responding: bool = False, stuck: bool = False) -> Session:
        session = Session(self, responding, stuck)
        self.register.sessions[session] = None
        return session

    def hold(self) -> Hold:
        hold = Hold(self)
        self.register.holds.add(hold)
        return hold

    def connection(self) -> Connection:
        connection = Connection(self)
        self.register.connections.add(connection)
        return connection


# -- the phases ----------------------------------------------------------------------------


def test_a_drain_of_an_empty_relay_ends_at_once() -> None:
    stage = Stage()
    assert stage.drain.phase == "serving"
    stage.begin()
    assert stage.over == [0]
    assert stage.clock.getDelayedCalls() == []


@pytest.mark.parametrize("seconds", [1, 4, 10, 20])
def test_half_of_a_short_drain_passes_before_anything_is_closed(seconds: float) -> None:
    stage = Stage(seconds=seconds)
    sessions = [stage.session() for _ in range(20)]
    stage.begin()
    stage.until(seconds / 2 - 0.01)
    assert [session.closed_at for session in sessions] == [None] * 20
    stage.until(seconds)
    ends = [session.closed_at for session in sessions if session.closed_at is not None]
    assert len(ends) == 20
    assert max(ends) - min(ends) > seconds / 3, "evenly, not at once"


def test_a_drain_of_an_empty_relay_does_not_end_before_the_delay() -> None:
    stage = Stage(delay=5)
    stage.begin()
    stage.until(4.9)
    assert stage.over == []
    stage.until(5.1)
    assert stage.over == [pytest.approx(5, abs=0.01)]


def test_in_the_delay_the_relay_is_not_ready_and_goes_on_accepting() -> None:
    stage = Stage(delay=5)
    session = stage.session()
    stage.begin()
    assert stage.drain.phase == "leaving"
    assert stage.register.admission_refusal() is None
    session.end()
    stage.until(4.9)
    assert stage.register.admission_refusal() is None
    stage.session()
    stage.until(5.1)
    assert stage.register.admission_refusal() == refuse("draining")
    assert stage.over == []


def test_a_drain_is_over_as_soon_as_the_last_session_has_ended() -> None:
    stage = Stage()
    sessions = [stage.session() for _ in range(2)]
    stage.begin()
    stage.until(3)
    sessions[0].end()
    stage.until(4)
    assert stage.over == []
    sessions[1].end()
    assert stage.over == [pytest.approx(4)]
    assert stage.clock.getDelayedCalls() == []


def test_a_drain_waits_for_a_hold_which_may_still_open() -> None:
    stage = Stage()
    hold = stage.hold()
    stage.begin()
    stage.until(2)
    stage.register.holds.discard(hold)
    session = stage.session()
    stage.until(15)
    assert session.closed_at is None
    assert hold.ended == []
    stage.until(31)
    assert session.closed_at is not None


def test_a_hold_is_refused_at_the_drains_deadline() -> None:
    stage = Stage(seconds=12)
    holds = [stage.hold() for _ in range(3)]
    stage.begin()
    stage.until(11.9)
    assert [hold.ended for hold in holds] == [[], [], []]
    stage.until(12.1)
    for hold in holds:
        ((refusal, when),) = hold.ended
        assert refusal == refuse("draining")
        assert when == pytest.approx(12, abs=0.01)
    assert len(stage.over) == 1


def test_the_last_answers_of_a_drain_have_a_moment_to_be_read() -> None:
    stage = Stage()
    session, connection = stage.session(), stage.connection()
    stage.begin()
    session.end()
    assert stage.drain.phase == "finishing"
    stage.until(0.1)
    assert stage.over == []
    connection.end()
    assert stage.over == [pytest.approx(0.1)]


def test_new_connections_do_not_lengthen_the_last_moment_of_a_drain() -> None:
    stage = Stage()
    connection = stage.connection()
    stage.begin()
    for tenth in range(1, 10):
        stage.until(tenth / 10)
        stage.connection().end()
    assert stage.over == [pytest.approx(GRACE_SECONDS, abs=0.01)]
    assert not connection.aborted


def test_a_drain_that_is_begun_twice_is_one_drain() -> None:
    stage = Stage()
    session = stage.session()
    stage.begin()
    stage.until(5)
    stage.begin()
    session.end()
    assert stage.over == [pytest.approx(5)] * 2
    stage.begin()
    assert len(stage.over) == 3


# -- closing -------------------------------------------------------------------------------


@given(
    st.integers(0, 100_000),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 100)), max_size=50),
)
def test_a_step_of_the_spread_closes_no_more_than_a_turn_bears(
    left: int, steps: list[tuple[float, int]]
) -> None:
    """However late it comes, and however many have ended by themselves."""
    pace, now = Pace(10.0), 0.0
    for late, ended in steps:
        count, wait = pace.step(left, now)
        assert 0 <= count <= min(left, BATCH)
        assert wait > 0
        left = max(0, left - count - ended)
        now += wait + late


@given(st.integers(1, 3000), st.floats(5, 600), st.floats(0, 0.01))
def test_the_pace_of_the_spread_is_even_though_steps_come_late(
    left: int, seconds: float, late: float
) -> None:
    pace, now, closed = Pace(seconds), 0.0, 0
    while now < seconds:
        count, wait = pace.step(left - closed, now)
        closed += count
        now += wait + late
        # The next step is due when the next session is, or the turn after.
        slack = 2 + left / seconds * (TICK + late)
        assert abs(closed - left * min(now, seconds) / seconds) <= slack
    assert left - closed <= slack


def test_at_the_deadline_the_steps_of_the_spread_follow_at_once() -> None:
    assert Pace(10.0).step(3, 10.0) == (3, BREATH)
    assert Pace(10.0).step(BATCH + 1, 11.0) == (BATCH, BREATH)
    assert Pace(10.0).step(0, 7.5) == (0, 2.5)


@pytest.mark.parametrize(("count", "spread"), [(1, 10), (2, 10), (7, 10), (40, 4), (100, 30)])
def test_few_sessions_are_closed_one_by_one_at_even_intervals(count: int, spread: float) -> None:
    stage = Stage(spread=spread)
    sessions = [stage.session() for _ in range(count)]
    stage.begin()
    stage.until(31)
    times = sorted(session.closed_at or 0 for session in sessions)
    assert times == [
        pytest.approx(30 - spread + n * spread / count, abs=0.05) for n in range(count)
    ]
    assert stage.over[0] < 30


def test_thousands_of_sessions_are_closed_evenly_some_in_each_turn() -> None:
    stage = Stage()
    sessions = [stage.session() for _ in range(5000)]
    stage.begin()
    stage.until(31)
    times = [session.closed_at or 0 for session in sessions]
    by_second = [sum(20 + n <= time < 21 + n for time in times) for n in range(10)]
    assert sum(by_second) == 5000
    assert all(abs(number - 500) <= 25 for number in by_second), by_second
    assert max(times.count(time) for time in set(times)) <= BATCH


def test_sessions_without_a_response_in_progress_are_closed_first() -> None:
    stage = Stage()
    busy = [stage.session(responding=True) for _ in range(5)]
    idle = [stage.session() for _ in range(5)]
    stage.begin()
    stage.until(22.5)
    busy[0].is_responding = False  # it has its answer now
    stage.until(31)
    assert max(session.closed_at or 0 for session in idle) < 25.5
    assert busy[0].closed_at == pytest.approx(23, abs=3)
    rest = [session.closed_at or 0 for session in busy[1:]]
    assert min(rest) > max(*(session.closed_at or 0 for session in idle), busy[0].closed_at or 0)


def test_a_drain_leaves_a_session_that_is_ending_to_its_end() -> None:
    stage = Stage()
    session = stage.session()
    session.is_ending = True
    stage.begin()
    stage.until(29)
    assert session.closed_at is None


def test_a_session_that_opens_in_the_spread_is_closed_by_the_deadline() -> None:
    stage = Stage()
    hold = stage.hold()
    stage.begin()
    stage.until(29.5)
    session = stage.session()
    stage.register.holds.discard(hold)
    stage.until(30.1)
    assert session.closed_at is not None


@pytest.mark.parametrize("seconds", [0, 3])
def test_without_a_spread_all_sessions_are_closed_at_the_deadline(seconds: float) -> None:
    stage = Stage(seconds=seconds, spread=0)
    sessions = [stage.session() for _ in range(3 * BATCH)]
    stage.begin()
    stage.until(seconds + 0.1)
    times = [session.closed_at or 0 for session in sessions]
    assert min(times) >= seconds
    assert max(times.count(time) for time in set(times)) <= BATCH
    assert len(stage.over) == 1


def test_a_drain_may_be_all_spread() -> None:
    stage = Stage(seconds=4, spread=4)
    sessions = [stage.session() for _ in range(4)]
    stage.begin()
    stage.until(5)
    times = sorted(session.closed_at or 0 for session in sessions)
    assert times == [pytest.approx(n, abs=0.05) for n in range(4)]


# -- the bound -----------------------------------------------------------------------------


def test_a_stuck_session_is_cut_within_a_second_after_the_deadline() -> None:
    stage = Stage(delay=2, seconds=12)
    stuck = [stage.session(stuck=True) for _ in range(3 * BATCH)]
    stage.begin()
    stage.until(16)
    cuts = [session.aborted_at or 0 for session in stuck]
    assert min(cuts) >= 14, "not before the deadline"
    assert len(stage.over) == 1
    assert stage.over[0] < 15
    assert max(cuts.count(cut) for cut in set(cuts)) <= BATCH
    assert stage.clock.getDelayedCalls() == []


def test_a_connection_that_cannot_be_cut_does_not_hold_up_a_drain() -> None:
    stage = Stage(seconds=12)
    stage.register.holds.add(Hold(stage))
    stage.connection()
    for hold in stage.register.holds:
        hold.end = lambda refusal: None  # type: ignore[method-assign]
    stage.begin()
    stage.until(13)
    assert stage.over == [pytest.approx(12 + GRACE_SECONDS + CUT_SECONDS, abs=0.01)]
    assert stage.clock.getDelayedCalls() == []


@pytest.mark.parametrize("when", [0, 3, 6, 27])
def test_a_drain_that_is_cut_short_is_over_at_once(when: float) -> None:
    """Before it begins, in the delay, while it waits, and while it closes."""
    stage = Stage(delay=5)
    stuck, connection = stage.session(stuck=True), stage.connection()
    if when:
        stage.begin()
    stage.until(when)
    stage.drain.cut()
    stage.begin()
    assert stage.register.admission_refusal() == refuse("draining")
    assert connection.aborted
    connection.end()
    stage.until(when + 0.01)
    assert stuck.aborted_at == pytest.approx(when)
    assert stage.over
    assert stage.over[0] <= when + 0.01
    assert stage.clock.getDelayedCalls() == []
    stage.drain.cut()
    assert stage.drain.phase == "ended"


def test_thousands_of_sessions_are_cut_in_more_than_one_turn() -> None:
    stage = Stage()
    stuck = [stage.session(stuck=True) for _ in range(4 * BATCH)]
    stage.drain.cut()
    assert sum(session.aborted_at is not None for session in stuck) == BATCH
    stage.until(0.1)
    assert all(session.aborted_at is not None for session in stuck)
    assert stage.drain.phase == "ended"


class Door:
    """A listener whose clients can wait for another process."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.shut_at: list[float] = []

    def shut(self) -> None:
        assert not self.stage.register.draining
        self.shut_at.append(self.stage.clock.seconds())

    def accepted(self) -> Connection:
        silent = Connection(self.stage)
        self.stage.register.silent.add(silent)
        return silent


def test_who_was_accepted_before_the_door_was_shut_may_still_ask() -> None:
    stage = Stage(delay=5)
    door = Door(stage)
    stage.begin(door.shut)
    first, second = door.accepted(), door.accepted()
    stage.until(5.5)
    assert door.shut_at == [pytest.approx(5, abs=0.01)]
    assert stage.register.admission_refusal() is None
    stage.register.gone(first)
    stage.register.asked(second)
    hold = stage.hold()
    stage.until(5.6)
    assert stage.register.admission_refusal() == refuse("draining")
    assert stage.over == []
    stage.until(35.1)
    assert [at for _, at in hold.ended] == [pytest.approx(35, abs=0.01)], "as long as without"


@pytest.mark.parametrize(
    ("seconds", "spread", "wait"),
    [(30, None, SETTLE_SECONDS), (30, 30, SETTLE_SECONDS), (1, None, 0.5), (0, None, 0)],
)
def test_who_was_accepted_and_stays_silent_is_not_waited_for_longer(
    seconds: float, spread: float | None, wait: float
) -> None:
    stage = Stage(seconds=seconds, spread=spread)
    door = Door(stage)
    door.accepted()
    stage.begin(door.shut)
    stage.until(wait + 2 * TICK)
    assert stage.over == [pytest.approx(wait, abs=2 * TICK)]


def test_while_some_of_those_who_were_accepted_ask_the_others_are_waited_for() -> None:
    stage = Stage(seconds=30)
    door = Door(stage)
    *asking, _ = [door.accepted() for _ in range(4)]
    stage.begin(door.shut)
    for at, each in enumerate(asking, 1):
        stage.until(0.9 * at)
        assert stage.register.admission_refusal() is None
        stage.register.asked(each)
        stage.hold()
    stage.until(2.7 + SETTLE_SECONDS - 2 * TICK)
    assert stage.register.admission_refusal() is None
    stage.until(2.7 + SETTLE_SECONDS + 2 * TICK)
    assert stage.register.admission_refusal() == refuse("draining")


def test_what_is_closed_after_the_wait_is_closed_in_time() -> None:
    stage = Stage(seconds=4, spread=4)
    door = Door(stage)
    door.accepted()
    sessions = [stage.session() for _ in range(4)]
    stage.begin(door.shut)
    stage.until(4.1)
    closed = [session.closed_at or 0 for session in sessions]
    assert SETTLE_SECONDS <= min(closed) <= SETTLE_SECONDS + 2 * TICK
    assert max(closed) <= 4


def test_where_nobody_is_silent_nothing_is_waited_for() -> None:
    stage = Stage()
    stage.begin(Door(stage).shut)
    assert stage.over == [0]


def test_a_cut_ends_the_wait_for_the_silent() -> None:
    stage = Stage()
    door = Door(stage)
    door.accepted()
    stage.begin(door.shut)
    stage.until(0.1)
    stage.drain.cut()
    assert stage.over == [pytest.approx(0.1, abs=0.01)]
