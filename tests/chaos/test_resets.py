"""Peers that do not read are reset, all in one moment: who connects in that moment is let in."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamWriter
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from chaos.clients import BINARY, frame, open_session
from chaos.faults import reset
from chaos.peers import Deaf, Echo, Flood, upstream
from chaos.relays import PATIENT, Relay, relay, upstream_table
from chaos.scale import run, scaled
from picows import WSUpgradeRequest

PATIENCE = scaled(60, 300)
ROUNDS = scaled(4, 50)

STUCK = 40
"""
Peers that are reset in one moment: as many as the relay may notice in one turn. What its poll told
of them must not be taken for news of those that got their numbers.
"""

NEW = 40
"""Who connects in that moment; there is room for so many in the shortest queue."""

BUFFER = 4096
"""Bytes that a peer keeps which does not read; the system makes a little more of it."""

FILLED_SECONDS = 0.5
"""Until all that the system keeps of unread data is full. If it is not, nothing is tested."""

ANSWER_SECONDS = 10.0

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Upstreams:
    """
    Those that flood their clients, or read nothing, by the model that is asked for.

    @ivar deaf: those that are open and read nothing.
    """

    def __init__(self) -> None:
        self.deaf: list[Deaf] = []

    def __call__(self, request: WSUpgradeRequest) -> Echo:
        """For L{upstream}."""
        if not request.path.endswith(b"deaf"):
            return Flood()
        self.deaf.append(Deaf())
        return self.deaf[-1]


async def stuck(running: Relay, model: str) -> StreamWriter:
    """A session of which one end does not read what the other has sent; its client's."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", running.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=BUFFER)
    assert await open_session(reader, writer, model) == "opened"
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    if model == "deaf":
        writer.write(frame(BINARY, bytes(2**20)) * 12)
    return writer


def connected(running: Relay) -> socket.socket:
    """An honest connection, with its request on the way."""
    client = socket.create_connection(("127.0.0.1", running.port))
    client.setblocking(False)
    client.sendall(HEALTH)
    return client


async def answer(client: socket.socket) -> str:
    """Its first line, or what came instead."""
    receiving = asyncio.get_running_loop().sock_recv(client, 4096)
    try:
        head = await asyncio.wait_for(receiving, ANSWER_SECONDS)
    except (OSError, TimeoutError) as error:
        return repr(error)
    finally:
        client.close()
    return head.partition(b"\r\n")[0].decode() or "dropped"


async def one_moment(running: Relay, upstreams: Upstreams, model: str) -> Counter[str]:
    """How the honest ones were answered."""
    writers = [await stuck(running, model) for _ in range(STUCK)]
    await asyncio.sleep(FILLED_SECONDS)
    ends = [*upstreams.deaf] if model == "deaf" else writers
    with running.stopped():
        # The first reset before the connections, the others after them: so the relay looks at its
        # sessions, then accepts, and is then told of what is no more.
        reset_end(ends[0])
        await asyncio.sleep(0.05)
        clients = [connected(running) for _ in range(NEW)]
        for end in ends[1:]:
            reset_end(end)
        await asyncio.sleep(0.05)
    answers = Counter(await asyncio.gather(*map(answer, clients)))
    for writer in writers:
        writer.transport.abort()
    upstreams.deaf.clear()
    return answers


def reset_end(end: StreamWriter | Deaf) -> None:
    """By a RST."""
    if isinstance(end, Deaf):
        end.reset()
    else:
        reset(end)


async def reset_all(folder: Path, model: str) -> None:
    async with AsyncExitStack() as stack:
        upstreams = Upstreams()
        target = await stack.enter_async_context(upstream(upstreams))
        config = PATIENT + upstream_table(target, breaker=False)
        running = await stack.enter_async_context(relay(folder, config))
        answers: Counter[str] = Counter()
        for _ in range(ROUNDS):
            answers += await one_moment(running, upstreams, model)
            await running.settled()
        print(f"\n{dict(answers)}")
        assert answers == {"HTTP/1.1 200 OK": ROUNDS * NEW}


@pytest.mark.parametrize("model", ["flood", "deaf"], ids=["clients", "upstreams"])
def test_clients_that_connect_while_others_are_reset_are_let_in(tmp_path: Path, model: str) -> None:
    run(reset_all(tmp_path, model), PATIENCE)
