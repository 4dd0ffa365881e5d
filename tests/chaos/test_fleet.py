"""
Three relays of one fleet, with a limit of so many sessions for one subject, while relays and the
store are killed, frozen, started again and replaced.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGKILL
from time import monotonic
from typing import Any

from chaos.clients import read_answer, read_frame
from chaos.peers import echo, upstream
from chaos.relays import Relay, relay, upstream_table
from chaos.scale import LONG, run, scaled
from redis_server import RedisServer, needed, redis_server

LIMIT = scaled(60, 1000)
"""Sessions that the subject may have."""

RELAYS = 3

LEASE_SECONDS = 3

FROZEN_SECONDS = LEASE_SECONDS + 2

ANSWER_SECONDS = 3.0
"""Until a hold must be answered whatever the store does: 250 ms, and what a busy machine takes."""

KEY = "a-key-of-the-one-subject"

SETTINGS = """
[auth]
token_file = "{folder}/tokens"

[limits]
sessions = 100000
short_sessions = 0
subject_sessions = {limit}
subject_holds = 0
subject_handshakes = 0

[fleet]
url = "{first}"
url_replica = "{second}"
relays = {relays}
lease_seconds = {lease}
"""

REQUEST = (
    "GET /v1/realtime?model=echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Authorization: Bearer {KEY}\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()

AT_ONCE = 60
"""Clients that ask and are not answered yet."""

DECIDES = "the fleet's store counts for"
AWAY = "the fleet's store is away"

SESSIONS = "{relay}:subject:token_file:1:sessions"

Client = tuple[StreamReader, StreamWriter]


class Crowd:
    """
    The subject's clients.

    @ivar open: those with a session, by the relay.
    """

    def __init__(self) -> None:
        self.open: defaultdict[Relay, list[Client]] = defaultdict(list)
        self._gate = asyncio.Semaphore(AT_ONCE)

    @property
    def count(self) -> int:
        """Sessions that are open."""
        return sum(map(len, self.open.values()))

    async def rush(self, relays: Sequence[Relay], each: int) -> Counter[str]:
        """So many more come to each relay. What became of them."""
        coming = (self._come(one) for _ in range(each) for one in relays)
        return Counter(await asyncio.gather(*coming))

    async def _come(self, running: Relay) -> str:
        async with self._gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(REQUEST)
            answer = await read_answer(reader)
        if answer == "opened":
            await read_frame(reader)
            self.open[running].append((reader, writer))
        else:
            writer.close()
        return answer

    def leave(self, running: Relay, count: int) -> None:
        """So many of a relay's end."""
        for _ in range(count):
            self.open[running].pop()[1].close()

    def all_leave(self) -> None:
        """It is over."""
        for running in [*self.open]:
            self.lose(running)

    def lose(self, running: Relay) -> int:
        """All of a relay that is gone; how many there were."""
        lost = self.open.pop(running)
        for _, writer in lost:
            writer.close()
        return len(lost)

    async def fills_up(self, relays: Sequence[Relay]) -> float:
        """
        Come until there are L{LIMIT}, and no more.

        @return: how long that took.
        """
        began, each = monotonic(), 1
        while self.count < LIMIT:
            answers = await self.rush(relays, each)
            each = 1 + (LIMIT - self.count) // len(relays) if answers["opened"] else 1
            assert set(answers) <= {"opened", "too_many_sessions"}
            assert self.count <= LIMIT
            await asyncio.sleep(0.05)
            assert monotonic() - began < 60, f"{self.count} of {LIMIT}"
        took = monotonic() - began
        assert await self.rush(relays, 5) == {"too_many_sessions": 5 * len(relays)}
        return took


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait for what a process does in its own time."""
    end = monotonic() + 30
    while not holds():
        assert monotonic() < end, what
        await asyncio.sleep(0.02)


class Scene:
    """
    The relays, the subject's clients, and the two servers of the store.

    @ivar relays: those that run.
    """

    def __init__(self, stack: AsyncExitStack, folder: Path, config: str) -> None:
        self.crowd = Crowd()
        self.relays: list[Relay] = []
        self._stack = stack
        self._folder = folder
        self._config = config

    async def start(self) -> None:
        """Start relays until there are all, and wait until the store counts for all of them."""
        missing = RELAYS - len(self.relays)
        new = [relay(self._folder, self._config) for _ in range(missing)]
        self.relays += await asyncio.gather(*map(self._stack.enter_async_context, new))
        await until(lambda: all(DECIDES in each.log for each in self.relays), DECIDES)

    def says(self, words: str) -> Callable[[], Coroutine[Any, Any, None]]:
        """What waits until each relay has said this once more than by now."""
        before = {each: each.log.count(words) for each in self.relays}

        def have_all() -> bool:
            return all(each.log.count(words) > count for each, count in before.items())

        return lambda: until(have_all, words)

    async def say(self, words: str, act: Callable[[], object]) -> None:
        """Do this, and wait until each relay has said this once more."""
        wait = self.says(words)
        act()
        await wait()

    async def full(self) -> None:
        """Nobody more may come, wherever he asks."""
        assert await self.crowd.rush(self.relays, 5) == {"too_many_sessions": 5 * len(self.relays)}

    async def exact(self, store: RedisServer) -> None:
        """The store knows of all sessions, and lets in again up to the limit and no further."""
        crowd = self.crowd
        await until(lambda: store.count(SESSIONS) == crowd.count, "each session is a lease")
        await self.full()
        over = crowd.count - LIMIT + 7
        for running in self.relays:
            some = min(over, len(crowd.open[running]))
            crowd.leave(running, some)
            over -= some
        await until(lambda: store.count(SESSIONS) == LIMIT - 7, "leases that are over")
        await crowd.fills_up(self.relays)

    async def without_store(self) -> None:
        """Each relay lets in up to its part, and answers in time."""
        crowd, part = self.crowd, LIMIT // RELAYS
        before = {each: len(crowd.open[each]) for each in self.relays}
        began = monotonic()
        await crowd.rush(self.relays, 2)
        assert monotonic() - began < ANSWER_SECONDS
        await crowd.rush(self.relays, part)
        assert {each: len(crowd.open[each]) for each in self.relays} == {
            each: max(part, count) for each, count in before.items()
        }

    async def store_frozen(self, store: RedisServer) -> None:
        """For longer than a lease: it has then forgotten all sessions."""
        with store.frozen():
            await self.without_store()
            await asyncio.sleep(FROZEN_SECONDS)
            thawed = self.says(DECIDES)
        await thawed()
        await self.exact(store)

    async def store_begins_anew(self, store: RedisServer) -> None:
        """Killed, and started with nothing."""
        await self.say(AWAY, store.kill)
        await self.without_store()
        await self.say(DECIDES, store.start)
        await self.exact(store)

    async def relay_killed(self) -> None:
        """Its sessions count for a lease, and no longer."""
        gone = self.relays.pop()
        os.kill(gone.pid, SIGKILL)
        lost = self.crowd.lose(gone)
        await self.full()
        took = await self.crowd.fills_up(self.relays)
        print(f"\n{lost} sessions were free again after {took:.1f} s")
        assert took < LEASE_SECONDS + 2


def test_a_fleet_has_one_limit_whatever_is_killed(tmp_path: Path) -> None:
    needed()
    run(_play(tmp_path), scaled(120, 900))


async def _play(folder: Path) -> None:
    (folder / "tokens").write_text(f"{KEY}\n")
    (folder / "tokens").chmod(0o600)
    for name in ("relays", "first", "second"):
        (folder / name).mkdir()
    async with AsyncExitStack() as stack:
        first = stack.enter_context(redis_server(folder / "first"))
        copies = f"127.0.0.1 {first.port}"
        second = stack.enter_context(redis_server(folder / "second", "--replicaof", copies))
        port = await stack.enter_async_context(upstream(echo))
        settings = SETTINGS.format(
            folder=folder,
            limit=LIMIT,
            first=first.url,
            second=second.url,
            relays=RELAYS,
            lease=LEASE_SECONDS,
        )
        scene = Scene(stack, folder / "relays", upstream_table(port) + settings)
        stack.callback(scene.crowd.all_leave)
        await scene.start()
        answers = await scene.crowd.rush(scene.relays, LIMIT)
        assert answers == {"opened": LIMIT, "too_many_sessions": (RELAYS - 1) * LIMIT}
        await scene.exact(first)

        await scene.relay_killed()
        if LONG:  # else tests/integration does the like, in one process
            await scene.start()
            await scene.exact(first)
            await scene.store_frozen(first)
            await scene.store_begins_anew(first)
            await until(lambda: second.count(SESSIONS) == LIMIT, "the replica has them")
            await scene.say(AWAY, first.kill)
            await scene.say(DECIDES, lambda: second.say("REPLICAOF", "NO", "ONE"))
            await scene.exact(second)
        for running in scene.relays:
            running.check_log()
