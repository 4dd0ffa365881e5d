"""Upstreams that come and go: holds are answered truthfully and in time, and none is flooded."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from chaos.clients import GOODBYE, open_session, read_close
from chaos.faults import EVERY, NONE, FaultProxy, Mix, proxy, unanswering_port
from chaos.peers import Caller, Echo, call, echo, upstream
from chaos.relays import BREAKER_SECONDS, HOLD_SECONDS, PATIENT, QUICK, Relay, relay, upstream_table
from chaos.scale import run, scaled
from picows import WSUpgradeRequest

PATIENCE = scaled(60, 300)

ROUNDS = scaled(1, 20)
"""Of all that a flapping upstream is."""

STATES: tuple[Mix | None, ...] = (
    NONE,
    None,
    {"refuse": 1},
    {"reset": 1, "fin": 1, "half": 1},
    NONE,
    {"black_hole": 1},
    {**EVERY, "freeze": 0, "trickle": 0, "none": 3},
)
"""What it is by turns; L{None}: its port is closed."""

STATE_SECONDS = 0.3

HOLDS_A_SECOND = 50

GRACE_SECONDS = 1.0
"""For the answer of a hold that is over, on a machine that is busy."""

AMPLIFICATION = 1.2

SESSIONS = scaled(20, 300)
"""On each of two upstreams."""

TRUTHFUL = {
    "opened",
    "closed at once",
    "altered",
    "upstream_connect_failed",
    "upstream_refused",
    "upstream_timeout",
    "upstream_unavailable",
}


async def hold(running: Relay) -> str:
    """One hold, and a polite end; how it was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        async with asyncio.timeout(HOLD_SECONDS + GRACE_SECONDS):
            answer = await open_session(reader, writer)
        if answer == "opened":
            writer.write(GOODBYE)
            await read_close(reader)
        return answer
    except EOFError:
        return "altered"
    finally:
        writer.close()


async def holds(running: Relay, count: int) -> Counter[str]:
    """So many at once; how they were answered."""
    return Counter(await asyncio.gather(*(hold(running) for _ in range(count))))


class Flapping:
    """Holds at a steady rate, while their upstream flaps."""

    def __init__(self, running: Relay, faulty: FaultProxy) -> None:
        self._running = running
        self._faulty = faulty
        self._holds: list[asyncio.Task[str]] = []

    async def load(self, rounds: int) -> Counter[str]:
        """So many rounds through all states; how the holds were answered."""
        for state in STATES * rounds:
            if state is None:
                self._faulty.close_port()
            else:
                self._faulty.mix = state
            self._faulty.reset_all()
            await self._hold_on()
            if state is None:
                await self._faulty.listen()
        self._faulty.mix = NONE
        made, self._holds = self._holds, []
        return Counter(await asyncio.gather(*made))

    async def _hold_on(self) -> None:
        for _ in range(int(HOLDS_A_SECOND * STATE_SECONDS)):
            self._holds.append(asyncio.ensure_future(hold(self._running)))
            await asyncio.sleep(1 / HOLDS_A_SECOND)


async def recovered(running: Relay) -> None:
    """Wait until a hold opens; from then on all of them do."""
    async with asyncio.timeout(2 * BREAKER_SECONDS):
        while await hold(running) != "opened":
            await asyncio.sleep(0.1)
    assert await holds(running, 20) == {"opened": 20}


async def flapped(folder: Path, breaker: bool) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(echo))
        faulty = await stack.enter_async_context(proxy(target, seed=1))
        config = QUICK + upstream_table(faulty.port, breaker=breaker)
        running = await stack.enter_async_context(relay(folder, config))
        flapping = Flapping(running, faulty)
        await flapping.load(1)
        await recovered(running)
        before, reached = await running.look(), faulty.accepted.total()
        async with running.checked():
            answers = await flapping.load(ROUNDS)
            after, reached = await running.look(), faulty.accepted.total() - reached
            await recovered(running)
        held, tried = after.held - before.held, after.tried - before.tried
        print(f"{dict(answers)}, tried {tried / held:.2f}, reached {reached / held:.2f} times")
        assert held == answers.total()
        assert set(answers) <= TRUTHFUL
        assert after.hold_seconds <= HOLD_SECONDS + GRACE_SECONDS
        assert max(tried, reached) <= AMPLIFICATION * held


@pytest.mark.parametrize("breaker", [False, True])
def test_holds_at_a_flapping_upstream_end_truthfully_and_in_time(
    tmp_path: Path, breaker: bool
) -> None:
    run(flapped(tmp_path, breaker), PATIENCE)


async def broken(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(echo))
        faulty = await stack.enter_async_context(proxy(target, {"refuse": 1}))
        config = QUICK + upstream_table(faulty.port, breaker=True)
        running = await stack.enter_async_context(relay(folder, config))
        async with running.checked(memory=False):
            faulty.close_port()
            for _ in range(5):
                assert await hold(running) == "upstream_connect_failed"
            assert await holds(running, 50) == {"upstream_unavailable": 50}
            assert (await running.look()).tried == 5
            await faulty.listen()
            answers = Counter[str]()
            async with asyncio.timeout(2 * BREAKER_SECONDS):
                while not answers["upstream_connect_failed"]:
                    await asyncio.sleep(0.1)
                    answers = await holds(running, 20)
            assert answers == {"upstream_connect_failed": 1, "upstream_unavailable": 19}
            assert faulty.accepted.total() == 1
            faulty.mix = NONE
            await recovered(running)


def test_a_breaker_lets_one_hold_an_interval_through(tmp_path: Path) -> None:
    run(broken(tmp_path), PATIENCE)


async def unanswered(folder: Path) -> None:
    with unanswering_port() as port:
        config = QUICK + upstream_table(port)
        async with relay(folder, config) as running, running.checked(memory=False):
            assert await holds(running, 20) == {"upstream_timeout": 20}


def test_holds_at_a_silent_upstream_time_out_truthfully(tmp_path: Path) -> None:
    run(unanswered(tmp_path), PATIENCE)


# -- two upstreams -------------------------------------------------------------------------


class Crowd:
    """
    Callers of two upstreams, of which the first goes first.

    @ivar first: sessions with the first so far.
    @ivar second: those with the second.
    """

    def __init__(self) -> None:
        self.running: Relay
        self.first: list[Echo] = []
        self.second: list[Echo] = []

    def of_first(self, request: WSUpgradeRequest) -> Echo:
        """For L{upstream}."""
        self.first.append(Echo())
        return self.first[-1]

    def of_second(self, request: WSUpgradeRequest) -> Echo:
        """For L{upstream}."""
        self.second.append(Echo())
        return self.second[-1]

    async def call(self, count: int) -> list[Caller]:
        """So many more sessions, which go on by themselves."""
        return await asyncio.gather(*(call(self.running.url) for _ in range(count)))

    async def use_first(self) -> None:
        """Wait until a hold comes to the first."""
        before = len(self.first)
        async with asyncio.timeout(2 * BREAKER_SECONDS):
            while len(self.first) == before:
                (caller,) = await self.call(1)
                await caller.finish()


async def died(folder: Path) -> None:
    crowd = Crowd()
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(crowd.of_first))
        second = await stack.enter_async_context(upstream(crowd.of_second))
        first = await stack.enter_async_context(proxy(target))
        tables = upstream_table(first.port, "first", breaker=True)
        tables += upstream_table(second, "second", priority=1, breaker=True)
        crowd.running = await stack.enter_async_context(relay(folder, PATIENT + tables))
        # Once to have all that the relay keeps, then for the checks.
        await one_dies(crowd, first)
        async with crowd.running.checked():
            await one_dies(crowd, first)


async def one_dies(crowd: Crowd, first: FaultProxy) -> None:
    first.close_port()
    on_second = await crowd.call(SESSIONS)
    await first.listen()
    await crowd.use_first()
    second_had = len(crowd.second)
    on_first = await crowd.call(SESSIONS)
    assert len(crowd.second) == second_had
    held = asyncio.ensure_future(crowd.call(SESSIONS))
    await asyncio.sleep(0.01)
    first.close_port()
    first.reset_all()
    later = await crowd.call(SESSIONS)
    await asyncio.gather(*(caller.ended for caller in on_first))
    assert {caller.close for caller in on_first} == {(1011, "relay: upstream connection lost")}
    kept = [caller for caller in await held if not caller.ended.done()]
    for caller in (*on_second, *later, *kept):
        assert not caller.ended.done()
        await caller.finish()
        assert caller.trips
        assert not caller.wrong
        assert caller.close == (1000, "")
    assert len(crowd.second) >= second_had + SESSIONS


def test_when_one_of_two_upstreams_dies_the_other_serves(tmp_path: Path) -> None:
    run(died(tmp_path), PATIENCE)
