"""Sessions that open and close, with every fault on both sides: nothing is left of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from chaos.clients import WAYS, go
from chaos.faults import EVERY, Mix, proxy
from chaos.peers import echo, upstream
from chaos.relays import QUICK, Relay, relay, upstream_table
from chaos.scale import run, scaled

CYCLES = scaled(1000, 100_000)
AT_ONCE = scaled(60, 150)
PATIENCE = scaled(60, 900)

CYCLE_SECONDS = 20.0
"""Until one has hung: longer than all deadlines of the relay together."""

FAULTY_SECONDS = 1.0
"""Until a client behind a faulty network gives up: that may be silent for ever."""

UPSTREAM: Mix = {**EVERY, "none": 12}
DOWNSTREAM: Mix = {**EVERY, "none": 4}

TRUTHFUL = {
    "upstream_connect_failed",
    "upstream_refused",
    "upstream_timeout",
    "upstream_unavailable",
    "bad_request",
}
"""How holds may be refused, with what is done to upstream here."""

OPENED = {"opened", "closed", "closed at once", "altered", "gone", "broke", "lost"}
LEFT = {"left"}


class Cycles:
    """
    A load of cycles: some straight to the relay, some through a faulty network.

    @ivar straight: what became of those, whose answers are beyond doubt.
    @ivar faulty: what became of the others.
    """

    def __init__(self, running: Relay, faulty_port: int, seed: int) -> None:
        self.straight: Counter[str] = Counter()
        self.faulty: Counter[str] = Counter()
        self._running = running
        self._faulty_port = faulty_port
        self._random = Random(seed)

    async def load(self, count: int) -> None:
        """So many, so many at once."""
        left = iter(range(count))

        async def in_turn() -> None:
            for _ in left:
                await self._one()

        await asyncio.gather(*(in_turn() for _ in range(AT_ONCE)))

    async def _one(self) -> None:
        random = Random(self._random.random())
        way = random.choice(WAYS)
        if random.random() < 0.75:
            became = await asyncio.wait_for(go(way, self._running.port, random), CYCLE_SECONDS)
            self.straight[became] += 1
            return
        try:
            became = await asyncio.wait_for(go(way, self._faulty_port, random), FAULTY_SECONDS)
        except TimeoutError:
            became = "silence"
        except Exception:
            became = "nonsense"  # a bit of it was turned over
        self.faulty[became] += 1


async def cycled(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(echo))
        faulty = await stack.enter_async_context(proxy(target, UPSTREAM, 1))
        config = QUICK + upstream_table(faulty.port)
        running = await stack.enter_async_context(relay(folder, config))
        network = await stack.enter_async_context(proxy(running.port, DOWNSTREAM, 2))
        await Cycles(running, network.port, 3).load(CYCLES // 3)
        cycles = Cycles(running, network.port, 4)
        async with running.checked():
            await cycles.load(CYCLES)
        print(f"straight {dict(cycles.straight)}\nfaulty {dict(cycles.faulty)}")
        print(f"upstream {dict(faulty.accepted)}")
        assert set(cycles.straight) <= TRUTHFUL | OPENED | LEFT
        # One bit can make another message of it, or a length that is never reached.
        odd = cycles.straight["altered"] + cycles.straight["lost"]
        assert odd <= faulty.accepted["corrupt"]


def test_nothing_is_left_of_sessions_that_open_and_close(tmp_path: Path) -> None:
    run(cycled(tmp_path), PATIENCE)
