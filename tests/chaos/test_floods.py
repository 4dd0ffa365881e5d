"""Who breaks the protocol, or floods: the right codes to both sides, both ended, memory bounded."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from chaos.clients import (
    BINARY,
    CLOSE,
    GOODBYE,
    MORE,
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


def _fragments(masked: bool) -> bytes:
    """More of them than one message may have, of one byte each."""
    more = frame(MORE, b".", fin=False, masked=masked)
    return frame(TEXT, b".", fin=False, masked=masked) + more * 5000


def faults(masked: bool) -> dict[str, tuple[bytes, int]]:
    """What somebody may send, and the code that it is answered with."""

    def one(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
        return frame(opcode, payload, **{"masked": masked, **options})

    text = one(TEXT, b"text")
    return {
        "fragments": (_fragments(masked), 1009),
        "8 GiB declared": (one(BINARY, b"." * 1000, declared=2**33), 1009),
        "more than 63 bits": (one(BINARY, declared=2**63), 1002),
        "reserved bits": (bytes((text[0] | 0x40,)) + text[1:], 1002),
        "reserved opcode": (one(3), 1002),
        "wrongly masked": (one(TEXT, b"text", masked=not masked), 1002),
        "nothing to continue": (one(MORE, b"text"), 1002),
        "a message in a message": (one(TEXT, b"te", fin=False) + text, 1002),
        "long Ping": (one(PING, b"." * 126), 1002),
        "Ping in parts": (one(PING, fin=False), 1002),
        "half a close code": (one(CLOSE, b"\x03"), 1002),
        "impossible close code": (one(CLOSE, b"\x03\xed"), 1002),
        "reason is no UTF-8": (one(CLOSE, b"\x03\xe8\xff"), 1007),
    }


BY_CLIENT, BY_SERVER = faults(True), faults(False)
NAMES = tuple(BY_CLIENT)


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
