"""Sessions whose two ends do anything at all, beside some that must not notice."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from time import monotonic

import pytest
from chaos.accepting import accepting, number_of
from chaos.bystanders import LEGS, OVER_SECONDS, Bystanders
from chaos.certificates import Certificates
from chaos.clients import TEXT, frame, read_answer, request
from chaos.peers import FIRST, upstream
from chaos.relays import Relay, listener_table, relay, upstream_table
from chaos.scale import run, scaled, seed
from chaos.scripts import LIMIT, End, Script, scripts
from processes import LOOPBACK

SESSIONS = scaled(250, 10_000)
"""In each plane."""

WAVE = 250
"""Sessions that are begun before those of the wave before are all over."""

AT_ONCE = 40
"""Sessions that are being played."""

BYSTANDERS = 8

PATIENCE = scaled(60, 1800)

SETTINGS = """
[limits]
short_sessions = 0
sessions = 100000
head_seconds = 5.0
stall_seconds = 1.0
linger_seconds = 0.5
ping_seconds = 0.5
pong_seconds = 2.0
"""
"""Who stops is ended soon; an honest peer may be late by as much as a busy machine makes it."""

TRUTHFUL = ("upstream_connect_failed", "upstream_refused")
"""How a hold may be refused whose upstream went away behind its first word."""


class Play:
    """
    A session of the storm.

    @ivar answer: to its client.
    @ivar at_once: whether upstream says all that it can in one breath, and then perhaps goes.
    @ivar played: fires when upstream's end has done all that it does.
    """

    def __init__(self, number: int, random: Random) -> None:
        self.number = number
        self.client, self.upstream = scripts(random)
        self.leg = random.choice(LEGS)
        self.at_once = random.random() < 0.3
        self.ends: list[End] = []
        self.answer = ""
        self.played: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def faults(self) -> list[str]:
        """What the relay should not have done to it."""
        faults = [fault for end in self.ends for fault in end.heard.faults]
        if not (self.answer == "opened" or (self.at_once and self.answer in TRUTHFUL)):
            faults.append(self.answer)
        return [f"session {self.number}: {fault}" for fault in faults]


class Storm:
    """
    All of its sessions.

    @ivar running: the relay; to be set when it runs.
    @param by: the seed of all that they do.
    """

    running: Relay

    def __init__(self, client: ssl.SSLContext, by: int) -> None:
        self._client = client
        self._seed = by
        self._plays: dict[int, Play] = {}
        self._upstreams: list[asyncio.Future[None]] = []
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def blow(self, bystanders: Bystanders) -> None:
        """All of it, with bystanders who talk all the while."""
        for number in range(BYSTANDERS):
            await bystanders.open(self.running, number, self._client)
        talking = asyncio.ensure_future(bystanders.talk())
        for first in range(0, SESSIONS, WAVE):
            try:
                await self._wave(range(first, first + WAVE))
            finally:
                self.running.check_log()
                bystanders.check()
        talking.cancel()
        print(f"{await bystanders.finish()} messages of bystanders")

    async def _wave(self, numbers: range) -> None:
        """Play some, and see the relay end what they have left open."""
        for number in numbers:
            self._plays[number] = Play(number, Random(f"{self._seed} {number}"))
        plays = list(self._plays.values())
        try:
            async with asyncio.TaskGroup() as tasks:
                for play in plays:
                    tasks.create_task(self._play(play))
            await self._over()
            faults = [fault for play in plays for fault in play.faults]
            assert not faults, faults
        finally:
            await self._leave()

    async def _leave(self) -> None:
        for task in self._upstreams:
            task.cancel()
        await asyncio.gather(*self._upstreams, return_exceptions=True)
        ends = [end for play in self._plays.values() for end in play.ends]
        await asyncio.gather(*(end.leave() for end in ends))
        self._upstreams.clear()
        self._plays.clear()

    async def _over(self) -> None:
        until = monotonic() + OVER_SECONDS
        while (sessions := (await self.running.look()).sessions) != BYSTANDERS:
            self.running.check_log()  # what it has lost by an exception will not end
            assert monotonic() < until, f"{sessions} sessions are left, of {BYSTANDERS} bystanders"
            await asyncio.sleep(0.1)

    async def _play(self, play: Play) -> None:
        async with self._gate:
            downstream, _ = play.leg
            port = self.running.port if downstream == "plain" else self.running.tls_port
            context = self._client if downstream == "tls" else None
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, limit=LIMIT
                )
            except OSError as error:
                play.answer = repr(error)
                return
            if await self._opens(play, reader, writer):
                await self._act(play, End(reader, writer, masked=True), play.client)
                await asyncio.wait_for(play.played, OVER_SECONDS)

    async def _opens(self, play: Play, reader: StreamReader, writer: StreamWriter) -> bool:
        writer.write(request(f"storm-{play.leg[1]}&intent={play.number}"))
        try:
            play.answer = await read_answer(reader)
        except (OSError, EOFError) as error:
            play.answer = repr(error)
        if play.answer != "opened":
            writer.transport.abort()
        return play.answer == "opened"

    async def _act(self, play: Play, end: End, script: Script) -> None:
        play.ends.append(end)
        with suppress(OSError):
            await end.play(script)

    def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        """An upstream end."""
        self._upstreams.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, EOFError):
            return  # the relay has ended
        play = self._plays[number_of(head)]
        writer.write(accepting(head))
        if not play.at_once:
            await asyncio.sleep(0.01)
        writer.write(frame(TEXT, FIRST, masked=False))
        if not play.at_once:
            await asyncio.sleep(0.01)
        await self._act(play, End(reader, writer, masked=False), play.upstream)
        play.played.set_result(None)


@asynccontextmanager
async def listening(storm: Storm, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The storm's upstreams; the port."""
    server = await asyncio.start_server(
        storm.accept, "127.0.0.1", 0, ssl=context, limit=LIMIT, backlog=1024
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def stormed(folder: Path, plane: str) -> None:
    certificates = Certificates(folder)
    storm, bystanders = Storm(certificates.client, seed()), Bystanders()
    async with AsyncExitStack() as stack:
        config = f'plane = "{plane}"\n{SETTINGS}'
        config += listener_table(LOOPBACK, certificates.file)
        for name, ends in (("storm", listening(storm)), ("honest", upstream(bystanders))):
            port = await stack.enter_async_context(ends)
            config += upstream_table(port, f"{name}-plain", model=f"{name}-plain")
        context, ca_file = certificates.server, certificates.ca_file
        secure = (("storm", listening(storm, context)), ("honest", upstream(bystanders, context)))
        for name, ends in secure:
            port = await stack.enter_async_context(ends)
            name = f"{name}-tls"
            config += upstream_table(port, name, ca_file=ca_file, model=name)
        storm.running = running = await stack.enter_async_context(relay(folder, config))
        await storm.blow(bystanders)
        look = await running.settled()
        print(look.line(running.idle))
        assert look.held == SESSIONS + BYSTANDERS


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_no_honest_session_is_touched_by_the_storm(tmp_path: Path, plane: str) -> None:
    run(stormed(tmp_path, plane), PATIENCE)
