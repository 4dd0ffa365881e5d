"""
The load generator, as a process: one load through one peer.

    python -m bench.load '{"load": {…}, "url": "ws://127.0.0.1:8080/v1/realtime?model=m", "pid": 1}'

It reads what the peer's process tree has used at both ends of what it measures, and prints one JSON
object: C{metrics} and C{failures}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from array import array
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

import uvloop
from attrs import asdict

from bench import accounting
from bench.client import GIVE_UP, Session, Tally, open_session, open_sessions
from bench.figures import Outcome, percentile
from bench.loads import Load

TICK = 0.001
"""Seconds between two looks at what a paced load has to send."""

GRACE = 2.0
"""Seconds for the last messages to come back, and for one session to close."""


class Meter:
    """What a process tree uses from when this is made."""

    def __init__(self, pid: int) -> None:
        self._pids = accounting.tree(pid)
        self._cpu = accounting.cpu_seconds(self._pids)
        self._start = perf_counter()

    @property
    def cpus(self) -> list[float]:
        """Seconds of CPU since then, of each process."""
        now = accounting.cpu_seconds(self._pids)
        return [after - before for after, before in zip(now, self._cpu, strict=True)]

    @property
    def cpu(self) -> float:
        """Seconds of CPU since then, of all together."""
        return sum(self.cpus)

    @property
    def seconds(self) -> float:
        """Seconds since then."""
        return perf_counter() - self._start

    @property
    def memory_kb(self) -> int:
        """Memory now."""
        return accounting.memory_kb(self._pids)


def _trips(trips: Sequence[float], prefix: str = "") -> dict[str, float]:
    return {
        f"{prefix}p50_ms": percentile(trips, 50) * 1e3,
        f"{prefix}p99_ms": percentile(trips, 99) * 1e3,
        f"{prefix}max_ms": max(trips) * 1e3,
    }


async def _crowd(load: Load, url: str, tally: Tally) -> list[Session]:
    sessions = await open_sessions(load.sessions, url, tally)
    if not sessions:
        raise SystemExit("not one session opened")
    return sessions


async def _window(load: Load, pid: int, tally: Tally, crowd: list[Session]) -> Outcome:
    """Measure the traffic that is under way, then let it end."""
    await asyncio.sleep(load.warm_up)
    tally.trips = array("d")
    for session in crowd:
        session.echoes = 0
    meter = Meter(pid)
    await asyncio.sleep(load.seconds)
    cpus, seconds, trips = meter.cpus, meter.seconds, tally.trips
    tally.trips = array("d")
    silent = sum(not session.echoes for session in crowd)
    if not trips:
        raise SystemExit("not one message came back")
    # Each echo crossed the peer twice.
    metrics = {
        "cpu_us": sum(cpus) / (2 * len(trips)) * 1e6,
        "busiest_us": max(cpus) / (2 * len(trips)) * 1e6,
        **_trips(trips),
        "messages_per_second": 2 * len(trips) / seconds,
        "memory_mb": meter.memory_kb / 1024,
    }
    await _settled(crowd)
    unanswered = sum(session.unanswered for session in crowd)
    return Outcome(metrics, {**tally.failures(), "silent": silent, "unanswered": unanswered})


async def _settled(crowd: list[Session]) -> None:
    for session in crowd:
        session.repeat = False
    until = perf_counter() + GRACE
    while any(session.unanswered for session in crowd) and perf_counter() < until:
        await asyncio.sleep(0.05)


async def messages(load: Load, url: str, pid: int) -> Outcome:
    """Every session keeps so many messages under way."""
    tally = Tally(load.size)
    crowd = await _crowd(load, url, tally)
    for session in crowd:
        session.repeat = True
        for _ in range(load.in_flight):
            session.send()
    return await _window(load, pid, tally, crowd)


async def paced(load: Load, url: str, pid: int) -> Outcome:
    """All sessions in turn send at one rate, however many they are."""
    tally = Tally(load.size)
    crowd = await _crowd(load, url, tally)
    sending = asyncio.create_task(_pace(crowd, load.rate, load.warm_up + load.seconds))
    outcome = await _window(load, pid, tally, crowd)
    await sending
    return outcome


async def _pace(crowd: list[Session], rate: int, seconds: float) -> None:
    start, sent = perf_counter(), 0
    while (now := perf_counter() - start) < seconds:
        while sent < now * rate:
            crowd[sent % len(crowd)].send()
            sent += 1
        await asyncio.sleep(TICK)


async def handshakes(load: Load, url: str, pid: int) -> Outcome:
    """Sessions that open, have their first event, and close; so many at once."""
    tally = Tally(load.size)
    unclosed = 0
    waits: list[float] = []

    async def one() -> None:
        nonlocal unclosed
        start = perf_counter()
        session = await open_session(url, tally)
        if session is not None:
            waits.append(perf_counter() - start)
            session.close()
            unclosed += not await _within_grace(session.ended)

    async def several(count: int) -> None:
        left = iter(range(count))

        async def in_turn() -> None:
            for _ in left:
                if tally.refused < GIVE_UP:
                    await one()
                else:
                    tally.untried += 1

        await asyncio.gather(*(in_turn() for _ in range(load.sessions)))

    # The first ones pay for what the peer does once.
    await several(load.sessions)
    await asyncio.sleep(load.warm_up)
    waits.clear()
    meter = Meter(pid)
    await several(load.opens)
    seconds = meter.seconds
    # The peer may still be closing its upstream side.
    await asyncio.sleep(load.warm_up)
    if not waits:
        raise SystemExit("not one session opened")
    metrics = {
        "cpu_ms": meter.cpu / len(waits) * 1e3,
        **_trips(waits),
        "opens_per_second": len(waits) / seconds,
    }
    return Outcome(metrics, {**tally.failures(), "unclosed": unclosed})


async def _within_grace(ended: asyncio.Future[None]) -> bool:
    done, _ = await asyncio.wait([ended], timeout=GRACE)
    return bool(done)


async def idle(load: Load, url: str, pid: int) -> Outcome:
    """Sessions that say nothing, while one more measures how it is served meanwhile."""
    tally = Tally(load.size)
    probe = await open_session(url, tally)
    if probe is None:
        raise SystemExit("not one session opened")
    # What a first message makes the peer keep is not the idle sessions' memory.
    await _probing(probe, tally, asyncio.sleep(load.warm_up))
    meter = Meter(pid)
    before = meter.memory_kb
    opening = await _probing(probe, tally, open_sessions(load.sessions, url, tally))
    waiting = await _probing(probe, tally, asyncio.sleep(load.seconds))
    opened = load.sessions - tally.refused - tally.untried
    if not opened or not opening or not waiting:
        came = len(opening) + len(waiting)
        raise SystemExit(f"{opened} sessions opened, the probe's message came back {came} times")
    metrics = {
        "session_kb": (meter.memory_kb - before) / opened,
        "opened": float(opened),
        **_trips(opening, "opening_"),
        **_trips(waiting, "idle_"),
    }
    return Outcome(metrics, {**tally.failures(), "unanswered": probe.unanswered})


async def _probing(probe: Session, tally: Tally, meanwhile: Awaitable[Any]) -> Sequence[float]:
    """The round trips, in seconds, of one message after the other while something else goes on."""
    tally.trips = trips = array("d")
    task = asyncio.ensure_future(meanwhile)
    while not task.done():
        if not probe.unanswered:
            probe.send()
        await asyncio.sleep(5 * TICK)
    await task
    return trips


MODES: dict[str, Callable[[Load, str, int], Awaitable[Outcome]]] = {
    "messages": messages,
    "paced": paced,
    "handshakes": handshakes,
    "idle": idle,
}


async def _main(load: Load, url: str, pid: int) -> None:
    outcome = await MODES[load.mode](load, url, pid)
    print(json.dumps(asdict(outcome)), flush=True)
    # The kernel closes thousands of sockets at once; taking leave of each would take seconds.
    os._exit(0)


if __name__ == "__main__":
    said = json.loads(sys.argv[1])
    uvloop.run(_main(Load(**said["load"]), said["url"], said["pid"]))
