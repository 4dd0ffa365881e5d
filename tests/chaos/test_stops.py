"""A relay that is stopped for longer than a Ping's answer may take: it has them, unread."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
from chaos.peers import FIRST, Peer, upstream
from chaos.relays import relay, upstream_table
from chaos.scale import run, scaled, seed
from picows import (
    WSCloseCode,
    WSFrame,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
)

PATIENCE = scaled(60, 300)
ROUNDS = scaled(2, 20)
SESSIONS = scaled(60, 200)

PING_SECONDS = PONG_SECONDS = 1.0
STOP_SECONDS = 2.5
"""Longer than both."""

FAR_SECONDS = 0.3
"""From a Ping to its answer, as if the peer were far away: so some are under way at any time."""

SETTINGS = f"""
[limits]
short_sessions = 0
sessions = 100000
ping_seconds = {PING_SECONDS}
pong_seconds = {PONG_SECONDS}
"""


class Far(Peer):
    """
    A peer that says nothing, and answers Pings after a while.

    @ivar heard: messages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        super().on_ws_frame(transport, frame)
        if frame.msg_type is WSMsgType.PING:
            payload = frame.get_payload_as_bytes()
            asyncio.get_running_loop().call_later(FAR_SECONDS, self._answer, payload)

    def _answer(self, payload: bytes) -> None:
        if self.close is None and not self.ended.done():
            self.transport.send_pong(payload)

    def message(self, payload: bytes, binary: bool) -> None:
        """Keep it."""
        self.heard.append(payload)


class FarUpstream(Far):
    """Says its first word, and what it hears."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.send(WSMsgType.TEXT, FIRST)

    def message(self, payload: bytes, binary: bool) -> None:
        """Say it."""
        self.transport.send(WSMsgType.TEXT, payload)


def far(request: WSUpgradeRequest) -> FarUpstream:
    """For L{upstream}."""
    return FarUpstream()


async def call(url: str) -> Far:
    """A session that is open."""
    caller = Far()
    await ws_connect(lambda: caller, url, enable_auto_pong=False)
    return caller


def lost(callers: list[Far]) -> list[tuple[int | None, str] | None]:
    """How those ended that did."""
    return [caller.close for caller in callers if caller.close or caller.ended.done()]


async def stops(folder: Path, plane: str) -> None:
    random = Random(seed())
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(far, pongs=False))
        config = f'plane = "{plane}"\n{SETTINGS}' + upstream_table(target)
        running = await stack.enter_async_context(relay(folder, config))
        callers = []
        for _ in range(SESSIONS):
            callers.append(await call(running.url))
            # So that each of them looks for who is silent at another time.
            await asyncio.sleep(2 * PING_SECONDS / SESSIONS)
        await asyncio.sleep(PING_SECONDS + PONG_SECONDS)
        assert not lost(callers), "before it was stopped"
        for _ in range(ROUNDS):
            await asyncio.sleep(random.random() * PING_SECONDS)
            with running.stopped():
                await asyncio.sleep(STOP_SECONDS)
        await asyncio.sleep(PING_SECONDS + PONG_SECONDS)
        ended = lost(callers)
        print(f"{len(ended)} of {SESSIONS} sessions are lost: {set(ended)}")
        assert not ended
        await finish(callers)
        await running.settled()


async def finish(callers: list[Far]) -> None:
    """They are as good as ever."""
    for caller in callers:
        caller.transport.send(WSMsgType.TEXT, b"still there")
    while any(caller.heard != [FIRST, b"still there"] for caller in callers):
        assert not lost(callers)
        await asyncio.sleep(0.05)
    for caller in callers:
        caller.transport.send_close(WSCloseCode.OK)
        await caller.ended


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_pongs_that_came_while_the_relay_was_stopped_count(tmp_path: Path, plane: str) -> None:
    run(stops(tmp_path, plane), PATIENCE)
