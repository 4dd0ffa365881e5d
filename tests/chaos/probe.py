"""
A relay as a process, watched from inside.

    python probe.py SOCKET SECONDS ARGUMENT...

Runs C{twistd realtime-relay ARGUMENT...} in the foreground, whose open breakers let a hold through
every so many seconds, and measures each turn of its reactor.

Whoever connects to the local socket and sends a line gets one line of JSON: what the process holds
now, and what it has done since the last line that said "begin".
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, thread_time
from types import FrameType
from typing import Any

from twisted.internet import reactor as _installed
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver
from twisted.scripts.twistd import run

import relay.daemon.service
import relay.upstreams.breaker
from relay import ClosedRecord, HoldRecord, Refusal, RelayFactory, RelayListener

REACTOR: Any = _installed

ALARM = 0.025
"""Seconds of CPU in one turn after which it is noted what the process is at."""

KEPT = 5
"""Long turns that are told of."""


class Turns:
    """
    Stands in for the reactor's poller, and measures what is done from one poll to the next.

    @ivar count: turns measured.
    @ivar cpu: seconds of the thread's CPU in the longest one: of the relay's own doing.
    @ivar wall: seconds of the longest one, in which other processes may have had the processor.
    @ivar kept: the same without the time that the thread stood in the system's queue for it: how
        long the relay kept others waiting, by work or by waiting itself.
    @ivar long: seconds of CPU and stack in those that were longest.
    """

    def __init__(self, poller: Any) -> None:
        self._poller = poller
        self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        signal.signal(signal.SIGPROF, self._alarmed)
        self.forget()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def forget(self) -> None:
        """Begin anew."""
        self.count = 0
        self.cpu = self.wall = self.kept = 0.0
        self.long: list[tuple[float, list[str]]] = []
        self.spare()

    def spare(self) -> None:
        """Do not measure the turn that is running."""
        self._stack: list[str] = []
        self._measuring = False

    def poll(self, *arguments: Any) -> Any:
        """A turn ends, and the next begins."""
        if self._measuring:
            self._ended()
        ready = self._poller.poll(*arguments)
        self._measuring = True
        signal.setitimer(signal.ITIMER_PROF, ALARM)
        self._queued, self._woke, self._cpu = self._in_queue(), perf_counter(), thread_time()
        return ready

    def _in_queue(self) -> float:
        """Seconds that this thread could have run and had no processor, so far."""
        return int(os.pread(self._schedule, 64, 0).split()[1]) / 1e9

    def _ended(self) -> None:
        cpu, wall = thread_time() - self._cpu, perf_counter() - self._woke
        self.count += 1
        self.cpu, self.wall = max(self.cpu, cpu), max(self.wall, wall)
        if wall > self.kept:
            self.kept = max(self.kept, wall - (self._in_queue() - self._queued))
        if self._stack:
            self.long = sorted([*self.long, (cpu, self._stack)], reverse=True)[:KEPT]
            self._stack = []

    def _alarmed(self, number: int, frame: FrameType | None) -> None:
        self._stack = traceback.format_stack(frame)[-6:]


class Tally(RelayListener):
    """
    Counts what is told.

    @ivar opens: holds that ended with a session.
    @ivar refusals: the others, by outcome.
    @ivar closes: sessions that ended, by close code and by whom.
    @ivar attempts: those that were begun, by upstream and outcome.
    @ivar hold_seconds: of the longest hold.
    """

    def __init__(self) -> None:
        self.opens = 0
        self.refusals: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.hold_seconds = 0.0

    def _held(self, record: HoldRecord) -> None:
        self.hold_seconds = max(self.hold_seconds, record.seconds)
        begun = [tried for tried in record.attempts if tried.stage is not None]
        self.attempts.update(f"{tried.upstream} {tried.outcome}" for tried in begun)

    def opened(self, record: HoldRecord) -> None:
        """Count it."""
        self.opens += 1
        self._held(record)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Count it."""
        self.refusals[record.outcome] += 1
        self._held(record)

    def event(self, record: HoldRecord, event: Mapping[str, Any]) -> None:
        """Of no interest."""

    def closed(self, record: ClosedRecord) -> None:
        """Count it."""
        self.closes[f"{record.close_code} {record.closed_by}"] += 1


class Inside:
    """
    What can be seen from inside.

    @ivar turns: the reactor's, once it runs.
    """

    turns: Turns

    def __init__(self) -> None:
        self._tally = Tally()
        self._factory: Any = None

    def factory(self, *arguments: Any, listeners: Any = (), **options: Any) -> RelayFactory:
        """In place of L{RelayFactory}: one that also tells the tally."""
        made = RelayFactory(*arguments, listeners=(*listeners, self._tally), **options)
        self._factory = made
        return made

    def measure(self) -> None:
        """Measure the reactor's turns from now on."""
        self.turns = REACTOR._poller = Turns(REACTOR._poller)

    def begin(self) -> None:
        """What is the longest is so from now on."""
        self.turns.forget()
        self._tally.hold_seconds = 0.0

    def look(self) -> dict[str, Any]:
        """All of it, once nothing is held that could be let go."""
        turns = self.turns
        turns.spare()
        return {
            **vars(self._tally),
            "holds": self._factory.active_holds,
            "sessions": self._factory.active_sessions,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "watched": len({*REACTOR.getReaders(), *REACTOR.getWriters()}),
            "calls": sorted(_name(call.func) for call in REACTOR.getDelayedCalls()),
            "memory_kib": _memory_kib(),
            "blocks": sys.getallocatedblocks(),
            "turns": turns.count,
            "cpu": turns.cpu,
            "wall": turns.wall,
            "kept": turns.kept,
            "long": turns.long,
        }


def _name(call: Any) -> str:
    """What a delayed call calls."""
    return str(getattr(call, "__qualname__", call))


def _memory_kib() -> int:
    """Resident memory, after all that can be given back was."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("a process has memory")


class Answers(LineOnlyReceiver):
    """The other end of the local socket."""

    delimiter = b"\n"
    factory: Any

    def lineReceived(self, line: bytes) -> None:
        """Look."""
        inside = self.factory.inside
        self.sendLine(json.dumps(inside.look()).encode())
        if line == b"begin":
            inside.begin()


def main(path: str, seconds: str, *arguments: str) -> None:
    """Run the relay, and answer on the socket."""
    inside = Inside()
    relay.upstreams.breaker.FIRST = relay.upstreams.breaker.MOST = float(seconds)
    service: Any = relay.daemon.service
    service.RelayFactory = inside.factory
    answers: Any = Factory.forProtocol(Answers)
    answers.noisy, answers.inside = False, inside
    REACTOR.callWhenRunning(inside.measure)
    REACTOR.callWhenRunning(REACTOR.listenUNIX, path, answers)
    sys.argv = ["twistd", "-n", "--pidfile=", "realtime-relay", *arguments]
    run()


if __name__ == "__main__":
    main(*sys.argv[1:])
