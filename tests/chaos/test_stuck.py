"""Peers that do not read, or not fast, or say nothing: they are ended, and nobody else notices."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from chaos.clients import (
    BINARY,
    GOODBYE,
    PONG,
    REQUEST,
    TEXT,
    frame,
    read_answer,
    read_close,
    read_frame,
    session,
)
from chaos.peers import Caller, Deaf, Echo, Flood, call, upstream
from chaos.relays import QUICK, Relay, relay, upstream_table
from chaos.scale import run, scaled
from picows import WSUpgradeRequest

PATIENCE = scaled(60, 200)
OF_EACH = scaled(5, 20)
HONEST = scaled(10, 50)

WAY_SECONDS = scaled(15, 60)
"""Until somebody has waited in vain to be ended: each deadline is a second or less."""


class Upstreams:
    """
    By the model that is asked for.

    @ivar made: all there were.
    """

    def __init__(self) -> None:
        self.made: list[Echo] = []

    def __call__(self, request: WSUpgradeRequest) -> Echo:
        """For L{upstream}."""
        kinds = {b"deaf": Deaf, b"flood": Flood}
        made = kinds.get(request.path.rpartition(b"model=")[2], Echo)()
        self.made.append(made)
        return made

    async def ended(self) -> None:
        """Wait until all have noticed that their session is over."""
        for made in self.made:
            if isinstance(made, Deaf):
                made.hang_up()
            await made.ended


class Stay(AsyncExitStack):
    """
    Keeps connections open, so that only the relay can end them.

    @ivar running: the relay.
    """

    def __init__(self, running: Relay) -> None:
        super().__init__()
        self.running = running

    async def session(self, model: str) -> tuple[StreamReader, StreamWriter]:
        """One that is open."""
        return await self.enter_async_context(session(self.running.port, model))

    async def connection(self) -> tuple[StreamReader, StreamWriter]:
        """One on which nothing has been said."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.running.port)
        self.callback(writer.close)
        return reader, writer


async def reads_nothing(stay: Stay) -> None:
    """What floods it is stopped, and told that it is gone."""
    _, writer = await stay.session("flood")
    writer.transport.pause_reading()  # type: ignore[attr-defined]


async def is_not_read(stay: Stay) -> None:
    """Its upstream reads nothing of what it sends."""
    reader, writer = await stay.session("deaf")
    writer.write(frame(BINARY, bytes(2**20)) * 16)
    assert await read_close(reader) == 1011


async def is_not_answered(stay: Stay) -> None:
    """Its upstream does not answer the relay's Pings."""
    reader, _ = await stay.session("deaf")
    assert await read_close(reader) == 1011


async def answers_no_ping(stay: Stay) -> None:
    """It is there, and silent."""
    reader, _ = await stay.session("echo")
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def stays_after_close(stay: Stay) -> None:
    """It has said goodbye and does not read the answer."""
    _, writer = await stay.session("flood")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(GOODBYE)


async def trickles_its_head(stay: Stay) -> None:
    """Its head is not whole in time."""
    reader, writer = await stay.connection()
    answer = asyncio.ensure_future(read_answer(reader))
    for byte in REQUEST:
        if not answer.done():
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.02)
    assert await answer == "request_timeout"


async def says_nothing(stay: Stay) -> None:
    """It connects, and that is all."""
    reader, _ = await stay.connection()
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def trickles_a_message(stay: Stay) -> None:
    """It is slow and there: it is served."""
    reader, writer = await stay.session("echo")
    for byte in frame(TEXT, b"." * 100):
        writer.write(bytes((byte,)))
        await asyncio.sleep(0.02)
    assert await read_frame(reader) == (TEXT, b"." * 100)
    writer.write(GOODBYE)
    assert await read_close(reader) == 1000


async def reads_slowly(stay: Stay) -> None:
    """It reads a little now and then: that is enough."""
    reader, writer = await stay.session("flood")
    for _ in range(20):
        await reader.readexactly(2**18)
        writer.write(frame(PONG, b""))  # Pings wait somewhere in there
        await asyncio.sleep(0.1)
    writer.write(GOODBYE)
    assert await read_close(reader) == 1000


STUCK: tuple[Callable[[Stay], Coroutine[Any, Any, None]], ...] = (
    reads_nothing,
    is_not_read,
    is_not_answered,
    answers_no_ping,
    stays_after_close,
    trickles_its_head,
    says_nothing,
    trickles_a_message,
    reads_slowly,
)


async def load(running: Relay) -> None:
    """All of them, beside honest callers; in the end nobody but the relay has hung up."""
    async with Stay(running) as stay:
        callers = [await call(running.url) for _ in range(HONEST)]
        await asyncio.gather(*(asyncio.wait_for(way(stay), WAY_SECONDS) for way in STUCK * OF_EACH))
        trips = [trip for caller in callers for trip in await served(caller)]
        await running.settled()
    p99 = sorted(trips)[len(trips) * 99 // 100]
    print(f"\n{len(trips)} honest round trips, p99 {p99 * 1e3:.1f} ms")


async def served(caller: Caller) -> list[float]:
    """An honest caller still has its answers, and may close; how long they took."""
    assert caller.close is None
    before = len(caller.trips)
    await caller.finish()
    assert len(caller.trips) > before
    assert not caller.wrong
    return caller.trips


async def stuck(folder: Path, plane: str) -> None:
    async with AsyncExitStack() as stack:
        upstreams = Upstreams()
        target = await stack.enter_async_context(upstream(upstreams))
        config = f'plane = "{plane}"\n' + QUICK + upstream_table(target)
        running = await stack.enter_async_context(relay(folder, config))
        await load(running)
        async with running.checked():
            await load(running)
        await upstreams.ended()


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_stuck_peer_is_ended_and_no_other_notices(tmp_path: Path, plane: str) -> None:
    run(stuck(tmp_path, plane), PATIENCE)
