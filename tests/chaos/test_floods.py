"""Who breaks the protocol, or floods: the right codes to both sides, both ended, memory bounded."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from chaos.broken_frames import BY_CLIENT, BY_SERVER, NAMES
from chaos.clients import (
    CLOSE,
    GOODBYE,
    PING,
    TEXT,
    frame,
    read_close,
    read_frame,
    session,
)
from chaos.peers import Echo, upstream
from chaos.relays import PATIENT, QUICK, Relay, relay, upstream_table
from chaos.scale import run, scaled
from picows import WSTransport, WSUpgradeRequest

PATIENCE = scaled(60, 200)
TIMES = scaled(3, 30)
"""That each of these is done, by several at once."""

PINGS = scaled(5_000, 30_000)
"""Of one that floods. The relay reads a thousand of them in a second."""

PEAK_KIB = 2048
"""Memory that a flood of Pings may take while it lasts."""

SEVERAL = scaled(2, 5)


class Faulty(Echo):
    """An upstream that says one thing behind its first word."""

    def __init__(self, says: bytes) -> None:
        super().__init__()
        self._says = says

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.underlying_transport.write(self._says)


class Upstreams:
    """
    By the model that is asked for: number of a fault of upstream's, or an echo.

    @ivar made: those of downstream's faults, in the order of the holds.
    """

    def __init__(self) -> None:
        self.made: list[Echo] = []

    def __call__(self, request: WSUpgradeRequest) -> Echo:
        """For L{upstream}."""
        model = request.path.rpartition(b"model=")[2].decode()
        if model.isdigit():
            self.made.append(Faulty(BY_SERVER[NAMES[int(model)]][0]))
        elif model == "pings":
            self.made.append(Faulty(frame(PING, b"." * 125, masked=False) * PINGS))
        else:
            self.made.append(Echo())
        return self.made[-1]

    async def latest(self) -> tuple[int | None, str]:
        """How the last one was closed."""
        await self.made[-1].ended
        close = self.made[-1].close
        assert close is not None, "without a Close"
        return close


async def downstream_fails(running: Relay, upstreams: Upstreams, name: str) -> None:
    says, code = BY_CLIENT[name]
    async with session(running.port, "echo") as (reader, writer):
        writer.write(says)
        assert await read_close(reader) == code
    code_up, reason = await upstreams.latest()
    assert (code_up, reason[:25]) == (1011, "relay: downstream fault: ")


async def upstream_fails(running: Relay, upstreams: Upstreams, name: str) -> None:
    _, code = BY_SERVER[name]
    async with session(running.port, str(NAMES.index(name))) as (reader, writer):
        assert await read_close(reader) == 1011
        writer.write(frame(CLOSE, b"\x03\xf3"))
        assert await reader.read() == b""
    assert (await upstreams.latest())[0] == code


async def faulted(folder: Path, plane: str) -> None:
    async with AsyncExitStack() as stack:
        upstreams = Upstreams()
        target = await stack.enter_async_context(upstream(upstreams))
        config = f'plane = "{plane}"\n' + QUICK + upstream_table(target)
        running = await stack.enter_async_context(relay(folder, config))
        for times in (1, TIMES):
            async with running.checked(memory=times > 1):
                for name in NAMES * times:
                    await downstream_fails(running, upstreams, name)
                    await upstream_fails(running, upstreams, name)


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_peer_that_breaks_the_protocol_is_told_so(tmp_path: Path, plane: str) -> None:
    run(faulted(tmp_path, plane), PATIENCE)


# -- Pings ---------------------------------------------------------------------------------


async def pings_and_reads(running: Relay) -> None:
    """Floods, and is served all the same."""
    async with session(running.port, "echo") as (reader, writer):
        for _ in range(PINGS // 1000):
            writer.write(frame(PING, b"." * 125) * 1000)
            await writer.drain()
        writer.write(frame(TEXT, b"still there"))
        assert await read_frame(reader) == (TEXT, b"still there")
        writer.write(GOODBYE)
        assert await read_close(reader) == 1000


async def is_pinged(running: Relay) -> None:
    """Its upstream floods the relay, and serves it all the same."""
    async with session(running.port, "pings") as (reader, writer):
        writer.write(frame(TEXT, b"still there"))
        assert await read_frame(reader) == (TEXT, b"still there")
        writer.write(GOODBYE)
        assert await read_close(reader) == 1000


async def pings_and_reads_nothing(running: Relay) -> None:
    """Floods, and does not want the answers: more than the system would keep of them."""
    async with session(running.port, "echo") as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(2 * PINGS // 1000):
            writer.write(frame(PING, b"." * 125) * 1000)
            await writer.drain()


async def flood(running: Relay) -> None:
    """All of them."""
    ways = (pings_and_reads, is_pinged) * SEVERAL
    await asyncio.gather(pings_and_reads_nothing(running), *(way(running) for way in ways))


async def pinged(folder: Path, plane: str) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(Upstreams()))
        config = f'plane = "{plane}"\n' + PATIENT + upstream_table(target)
        running = await stack.enter_async_context(relay(folder, config))
        await flood(running)
        before = await running.settled()
        async with running.checked():
            flooding, peak = asyncio.ensure_future(flood(running)), 0
            while not flooding.done():
                peak = max(peak, (await running.look()).memory_kib)
                await asyncio.sleep(0.2)
            await flooding
        print(f"a peak of {peak - before.memory_kib:+} KiB")
        assert peak - before.memory_kib <= PEAK_KIB


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_flood_of_pings_is_borne(tmp_path: Path, plane: str) -> None:
    run(pinged(tmp_path, plane), PATIENCE)
