"""Too many at once, too few descriptors, a relay that is stopped, an upstream that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from chaos.clients import GOODBYE, open_session, read_close
from chaos.peers import call, echo, upstream
from chaos.relays import PATIENT, QUICK, Relay, relay, upstream_table
from chaos.scale import run, scaled
from chaos.upstream_process import upstream_process

PATIENCE = scaled(60, 200)

HERD = scaled(200, 800)
"""Clients that connect in the same moment."""

ROOM = 40
"""Descriptors that the relay has for connections."""

TOO_MANY = 100
"""Sessions that want two each."""

SESSIONS = scaled(20, 200)
STOP_SECONDS = scaled(2, 30)


async def stay(running: Relay, go: asyncio.Event) -> str:
    """A session that ends when it may; how it was answered, C{lost} if not at all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        answer = await open_session(reader, writer)
        if answer == "opened":
            await go.wait()
            writer.write(GOODBYE)
            assert await read_close(reader) == 1000
        return answer
    except (OSError, EOFError):
        return "lost"
    finally:
        writer.close()


async def crowd(running: Relay, count: int, seconds: float) -> Counter[str]:
    """So many at once, and for so long; how they were answered."""
    go = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, go.set)
    return Counter(await asyncio.gather(*(stay(running, go) for _ in range(count))))


async def herded(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(echo))
        running = await stack.enter_async_context(relay(folder, PATIENT + upstream_table(target)))
        # All of them open at once, as they are only if the machine is fast or slow enough.
        await crowd(running, HERD, scaled(1, 5))
        async with running.checked():
            assert await crowd(running, HERD, 0) == {"opened": HERD}


def test_many_clients_in_one_moment_are_all_let_in(tmp_path: Path) -> None:
    run(herded(tmp_path), PATIENCE)


async def exhausted(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(echo))
        running = await stack.enter_async_context(relay(folder, QUICK + upstream_table(target)))
        limit = running.idle.descriptors + ROOM
        await crowd(running, TOO_MANY, 0)
        async with running.checked():
            running.limit_descriptors(limit)
            # Who comes when there is not even one left to accept him by cannot be answered.
            few = await in_turn(running, ROOM)
            many = await crowd(running, TOO_MANY, 1.0)
            running.limit_descriptors(4096)
            assert await crowd(running, TOO_MANY, 0) == {"opened": TOO_MANY}
        print(f"one by one {dict(few)}, at once {dict(many)}")
        assert few["opened"] >= ROOM // 2 - 2
        assert many["relay_full"]
        assert (few | many).keys() <= {"opened", "relay_full", "lost"}


async def in_turn(running: Relay, count: int) -> Counter[str]:
    """One after the other, each of which stays; how they were answered."""
    go = asyncio.Event()
    made: list[asyncio.Task[str]] = []
    for _ in range(count):
        made.append(asyncio.ensure_future(stay(running, go)))
        await asyncio.wait({made[-1]}, timeout=0.05)
    go.set()
    return Counter(await asyncio.gather(*made))


def test_without_descriptors_the_relay_says_that_it_is_full(tmp_path: Path) -> None:
    run(exhausted(tmp_path), PATIENCE)


async def stopped(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(upstream(echo))
        running = await stack.enter_async_context(relay(folder, PATIENT + upstream_table(target)))
        await stop(running)
        async with running.checked():
            await stop(running)


async def stop(running: Relay) -> None:
    """Sessions go on where they were, and who came meanwhile is let in."""
    callers = await asyncio.gather(*(call(running.url) for _ in range(SESSIONS)))
    os.kill(running.pid, signal.SIGSTOP)
    late = [asyncio.ensure_future(call(running.url)) for _ in range(SESSIONS)]
    await asyncio.sleep(STOP_SECONDS)
    os.kill(running.pid, signal.SIGCONT)
    for caller in [*callers, *await asyncio.gather(*late)]:
        await caller.finish()
        assert caller.close == (1000, "")
        assert caller.trips
        assert not caller.wrong


def test_a_relay_that_was_stopped_goes_on_serving(tmp_path: Path) -> None:
    run(stopped(tmp_path), PATIENCE)


async def killed(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(upstream_process())
        await stack.aclose()
        config = QUICK + upstream_table(port)
        running = await stack.enter_async_context(relay(folder, config))
        await kill(running, port)
        async with running.checked():
            await kill(running, port)


async def kill(running: Relay, port: int) -> None:
    """Its sessions are told, nobody else is let in, and the next one is as good."""
    async with upstream_process(port) as (process, _):
        callers = await asyncio.gather(*(call(running.url) for _ in range(SESSIONS)))
        process.kill()
        await asyncio.gather(*(caller.ended for caller in callers))
    assert {caller.close for caller in callers} == {(1011, "relay: upstream connection lost")}
    assert await crowd(running, SESSIONS, 0) == {"upstream_connect_failed": SESSIONS}
    async with upstream_process(port):
        assert await crowd(running, SESSIONS, 0) == {"opened": SESSIONS}


def test_a_killed_upstream_ends_its_sessions_truthfully(tmp_path: Path) -> None:
    run(killed(tmp_path), PATIENCE)
