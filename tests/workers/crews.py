"""Workers in memory: their processes are doubles that say what a test has them say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from twisted.internet.error import ConnectionDone, ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from relay.daemon.workers.channel import Channel
from relay.daemon.workers.crew import Crew
from relay.daemon.workers.process import WorkerProcess
from relay.daemon.workers.shares import Shares, make
from relay.daemon.workers.slot import Slot
from relay.telemetry.snapshot import Snapshot

NOTHING = Snapshot({}, {}, {})
HEARS = ("end", "abort", "watch", "take", "look_away")
ANSWERS = ("page", "show", "close", "revoke", "look")


@define
class Process:
    """A process that runs: what it was told, and the signals that it got."""

    pid: int
    process: WorkerProcess
    signals: list[str] = field(factory=list)
    told: list[tuple[str, Any]] = field(factory=list)
    answers: dict[str, Any] = field(factory=dict)
    channel: Channel = field(init=False)

    def __attrs_post_init__(self) -> None:
        does = {name: self._hears(name) for name in HEARS}
        asked = {name: self._answers(name) for name in ANSWERS}
        self.channel = Channel({**does, **asked}, Clock(), lambda: None)
        self.process.channel.makeConnection(StringTransport())
        self.channel.makeConnection(StringTransport())
        self.process.makeConnection(self)

    def _hears(self, name: str) -> Any:
        return lambda *values: self.told.append((name, values))

    def _answers(self, name: str) -> Any:
        def answer(*values: Any) -> Any:
            self.told.append((name, values))
            given = self.answers[name]
            return given(*values) if callable(given) else given

        return answer

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def cross(self) -> None:
        """What each end has said reaches the other."""
        ends = (self.channel, self.process.channel)
        while any(_transport(end).value() for end in ends):
            for one, other in (ends, ends[::-1]):
                said = _transport(one).value()
                _transport(one).clear()
                other.dataReceived(said)

    def report(self, **told: Any) -> None:
        usual = {"ready": True, "upstreams": [], "counted": NOTHING.as_json()}
        self.channel.tell("report", {**usual, **told})
        self.cross()

    def dies(self, signal: int | None = 9, status: int = 0) -> None:
        """It is gone: its channel is lost, and then its parent is told."""
        self.process.channel.connectionLost(Failure(ConnectionDone()))
        self.exits(signal, status)

    def exits(self, signal: int | None = None, status: int = 0) -> None:
        kind = ProcessTerminated if signal or status else ProcessDone
        ended = ProcessTerminated(status, signal) if kind is ProcessTerminated else ProcessDone(0)
        self.process.processEnded(Failure(ended))


def _transport(end: Channel) -> StringTransport:
    assert isinstance(end.transport, StringTransport)
    return end.transport


@define
class House:
    """A parent's slots and crew."""

    clock: Clock
    shares: Shares
    processes: list[Process] = field(factory=list)
    ended: list[tuple[Snapshot | None, bool]] = field(factory=list)
    lines: list[str] = field(factory=list)
    ready: list[int] = field(factory=list)
    slots: list[Slot] = field(factory=list)
    shortage: OSError | None = None
    connects_first: bool = False
    unborn: list[WorkerProcess] = field(factory=list)

    def begin(self, number: int, process: WorkerProcess) -> None:
        if self.shortage is not None:
            self.unborn.append(process)
            if self.connects_first:
                process.channel.makeConnection(StringTransport())
            raise self.shortage
        self.processes.append(Process(100 + len(self.processes), process))

    def crew(self, own: Snapshot = NOTHING) -> Crew:
        return Crew(self.slots, lambda: own)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.clock.advance(0)


@contextmanager
def house(workers: int) -> Iterator[House]:
    clock, fd = Clock(), make(workers)
    found = House(clock, Shares(fd, workers))
    for n in range(workers):
        slot = Slot(
            n,
            found.begin,
            found.lines.append,
            found.shares,
            clock,
            lambda counted, told: found.ended.append((counted, told)),
            lambda: found.ready.append(1),
        )
        found.slots.append(slot)
        slot.begin()
    yield found
    os.close(fd)
