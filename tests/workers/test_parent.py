"""The parent: what it counts when nobody serves, and workers that do not end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock
from workers.crews import Process

from relay.config.plan import Flags, Plan
from relay.config.settings import Settings
from relay.daemon.logs import TextObserver
from relay.daemon.workers.parent import KILL_SECONDS, Likeness, ParentService
from relay.daemon.workers.process import WorkerProcess
from relay.upstreams.upstream import Upstream

DRAIN_SECONDS = 20.0
SETTINGS = Settings(workers=2, admin="", drain_seconds=DRAIN_SECONDS)
PLAN = Plan(SETTINGS, upstreams=(Upstream("ws://127.0.0.1:1"),))


@define
class Port:
    """What listening gives."""

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 8080)

    def stopReading(self) -> None:
        """The workers accept."""

    def stopListening(self) -> None:
        """Nobody does any more."""


class Reactor(MemoryReactorClock):
    """Listens nowhere."""

    def listenTCP(self, *args: Any, **named: Any) -> Any:
        return Port()


class Parent(ParentService):
    """One whose workers are doubles."""

    def __init__(self) -> None:
        alike = Likeness(Flags(), TextObserver, False, None)
        self.clock = Reactor()
        self.processes: list[Process] = []
        super().__init__(PLAN, alike, reactor=self.clock, environ={})

    def _spawn(self, number: int, process: WorkerProcess) -> None:
        self.processes.append(Process(100 + len(self.processes), process))

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.clock.advance(0)

    @property
    def killed(self) -> list[bool]:
        return [each.signals == ["KILL"] for each in self.processes]


@pytest.fixture
def parent() -> Iterator[Parent]:
    found = Parent()
    found.privilegedStartService()
    found.running = True
    found._begin_all()
    yield found
    for each in found.processes:
        each.dies()
    assert not [call for call in found.clock.getDelayedCalls() if call.active()]


def test_no_workers_are_counted_while_none_has_reported(parent: Parent) -> None:
    assert "\nrelay_workers 0.0\n" in parent._crew.snapshot().exposition().decode()
    parent.stopService()


def test_a_worker_that_does_not_end_in_time_is_killed(parent: Parent) -> None:
    parent.stopService()
    parent.processes[0].dies()
    parent.wait(DRAIN_SECONDS + KILL_SECONDS)
    assert parent.killed == [False, False]
    parent.wait(1)
    assert parent.killed == [False, True]


@pytest.mark.parametrize("is_told_first", [False, True])
def test_one_that_does_not_end_at_once_is_killed_soon(parent: Parent, is_told_first: bool) -> None:
    if is_told_first:
        parent.stopService()
        parent._abort()
    else:  # both signals came before the reactor stopped
        parent._abort()
        parent.stopService()
    parent.wait(KILL_SECONDS)
    assert parent.killed == [True, True]
