"""What becomes of clients when there are no descriptors for them."""

from __future__ import annotations

import errno
import os
import resource
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from relay.daemon import descriptors as module
from relay.daemon.descriptors import (
    BATCH,
    OTHERS,
    PAUSE_SECONDS,
    QUIET_SECONDS,
    SPARE,
    YIELD_SECONDS,
    Accepting,
    raise_limit,
    sessions_within,
)


class System:
    """So many descriptors are left."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.error = errno.EMFILE
        self.open_ones: set[int] = set()
        self.number = 1000

    def open(self, path: str, flags: int) -> int:
        assert path == os.devnull
        if not self.left:
            raise OSError(self.error, "none left")
        self.left -= 1
        self.number += 1
        self.open_ones.add(self.number)
        return self.number

    def close(self, number: int) -> None:
        self.open_ones.remove(number)
        self.left += 1


class Listener(Port):
    """Clients wait at it, each of which takes a descriptor."""

    def __init__(self, system: System, waiting: int) -> None:
        self.system, self.waiting = system, waiting
        self.accepted = 0
        self.reading = self.connected = True
        self.disconnecting = False
        self.sessionno = 0

    def doRead(self) -> None:
        for _ in range(self.numberAccepts):
            if self.waiting:
                assert self.system.left, "Twisted would drop them"
                self.system.left -= 1
                self.waiting -= 1
                self.sessionno += 1
        self.numberAccepts += 20

    def stopReading(self) -> None:
        self.reading = False

    def startReading(self) -> None:
        self.reading = True

    def turn(self, times: int = 200) -> None:
        for _ in range(times):
            if self.reading and self.waiting:
                self.doRead()


class Stage:
    def __init__(self, left: int, waiting: int) -> None:
        self.clock = Clock()
        self.system = System(left)
        self.listener = Listener(self.system, waiting)
        self.accepting = Accepting(self.clock)
        self.lines: list[tuple[str, str]] = []


@pytest.fixture
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(*request.param)

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        made.lines.append((event["log_level"].name, event["log_format"].format(**event)))

    monkeypatch.setattr(module, "_log", Logger("relay.daemon.descriptors", observer=observer))
    monkeypatch.setattr(os, "open", made.system.open)
    monkeypatch.setattr(os, "close", made.system.close)
    made.accepting.guard(made.listener)
    return made


def staged(left: int, waiting: int) -> Any:
    return pytest.mark.parametrize("stage", [(left, waiting)], indirect=True)


@staged(1000, 200)
def test_while_there_are_descriptors_all_are_accepted(stage: Stage) -> None:
    stage.listener.turn(1)
    assert stage.listener.sessionno == BATCH
    stage.listener.turn()
    assert stage.listener.sessionno == 200
    assert stage.system.left == 1000 - 200 - SPARE
    assert stage.lines == []


@staged(SPARE + 3, 100)
def test_with_the_reserve_clients_are_accepted_that_can_only_be_refused(stage: Stage) -> None:
    stage.listener.turn()
    assert stage.listener.sessionno == SPARE + 3
    assert stage.listener.waiting == 100 - SPARE - 3
    assert not stage.listener.reading, "or the reactor would turn without end"
    ((level, line),) = stage.lines
    assert level == "warn"
    assert line.startswith("EMFILE: no descriptor is left")


@staged(SPARE, 1)
def test_nothing_of_the_reserve_is_left_for_others_when_nobody_waits(stage: Stage) -> None:
    stage.listener.turn(1)
    assert stage.listener.sessionno == 1
    assert (stage.system.left, len(stage.system.open_ones)) == (0, SPARE - 1)


@staged(SPARE + 3, 20)
def test_the_service_resumes_when_there_are_some_again(stage: Stage) -> None:
    stage.listener.turn()
    stage.system.left = 100
    stage.clock.advance(PAUSE_SECONDS)
    stage.clock.advance(0)
    stage.listener.turn()
    assert stage.listener.waiting == 0
    assert len(stage.system.open_ones) == SPARE
    assert [level for level, _ in stage.lines] == ["warn", "info"]
    assert stage.clock.getDelayedCalls() == []


@staged(SPARE, 1000)
def test_a_shortage_that_comes_and_goes_is_told_once_a_minute(stage: Stage) -> None:
    for _ in range(100):
        stage.listener.turn()
        stage.system.left += SPARE + 1
        stage.clock.advance(PAUSE_SECONDS)
        stage.clock.advance(0)
        stage.listener.turn(1)
    assert 100 * PAUSE_SECONDS < QUIET_SECONDS
    assert [level for level, _ in stage.lines].count("warn") == 1
    stage.clock.advance(QUIET_SECONDS)
    stage.system.left = 500
    stage.listener.turn()
    stage.system.left = 0
    stage.listener.waiting = 1000
    stage.listener.reading = True
    stage.listener.turn()
    assert [level for level, _ in stage.lines].count("warn") == 2


@staged(0, 5)
def test_a_listener_that_ends_meanwhile_is_left_alone(stage: Stage) -> None:
    stage.listener.turn()
    assert not stage.listener.reading
    stage.listener.disconnecting = True
    stage.clock.advance(PAUSE_SECONDS)
    stage.clock.advance(0)
    assert not stage.listener.reading


@staged(20, 100)
def test_the_end_gives_all_back(stage: Stage) -> None:
    stage.listener.turn()
    stage.accepting.stop()
    assert stage.system.open_ones == set()
    assert stage.clock.getDelayedCalls() == []


@staged(0, 5)
def test_an_error_that_is_no_shortage_stops_nobody(stage: Stage) -> None:
    stage.system.error = errno.ENOENT  # as in a chroot
    stage.system.left = 0
    assert stage.accepting._has_room()


@staged(100, 0)
def test_a_listener_of_another_kind_goes_on_as_it_is(stage: Stage) -> None:
    other = object()
    stage.accepting.guard(other)


@pytest.mark.parametrize(
    ("descriptors", "each", "sessions"),
    [(1024, 2, 480), (1024, 3, 320), (10, 2, 1), (float("inf"), 2, float("inf"))],
)
def test_sessions_follow_descriptors(descriptors: float, each: int, sessions: float) -> None:
    assert OTHERS == 64
    assert sessions_within(descriptors, each) == sessions


def test_the_limit_is_raised_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(256, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.append(both))
    assert raise_limit() == 4096
    assert limits[-1] == (4096, 4096)

    def refuse(*_: object) -> None:
        raise ValueError

    limits.append((256, resource.RLIM_INFINITY))
    assert raise_limit() == float("inf")
    limits.append((256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit() == 256


@staged(1000, 3)
def test_while_another_process_has_fewer_clients_it_may_go_first_but_not_for_long(
    stage: Stage,
) -> None:
    stage.accepting.is_ahead = lambda: True
    for accepted in range(4):
        stage.listener.turn(1)
        assert stage.listener.sessionno == min(accepted, 3)
        assert not stage.listener.reading
        stage.clock.advance(YIELD_SECONDS)
        stage.clock.advance(0)
    stage.accepting.is_ahead = lambda: False
    stage.listener.turn(1)
    assert stage.listener.reading
