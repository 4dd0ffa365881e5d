"""A thousand who connect in the same moment, to a relay that is busy with something else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic

import pytest
from chaos.relays import PATIENT, Relay, listener_table, relay, upstream_table
from chaos.scale import run

PATIENCE = 60

Address = str | tuple[str, int]

BURST = 1000
"""Connections; the system lets so many wait if the listener asks for it (C{somaxconn})."""

FULL_SECONDS = 5.0
"""
Until a connection counts as having found no room. One that finds some is made at once; while the
relay is stopped, the others are not made however long they try.
"""

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def is_made(client: socket.socket) -> bool:
    """Whether the system has made its connection."""
    with suppress(OSError):
        client.getpeername()
        return True
    return False


async def connect(clients: list[socket.socket], address: Address) -> int:
    """All at once; how many of the connections the system made."""
    for client in clients:
        client.setblocking(False)
        client.connect_ex(address)
    end = monotonic() + FULL_SECONDS
    while not all(map(is_made, clients)) and monotonic() < end:
        await asyncio.sleep(0.05)
    return sum(map(is_made, clients))


async def answer(client: socket.socket) -> bytes:
    """The first line that it is answered with."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, HEALTH)
    return (await loop.sock_recv(client, 4096)).partition(b"\r\n")[0]


async def burst(folder: Path, address_of: Callable[[Relay, Path], Address]) -> None:
    path = folder / "relay.socket"
    config = PATIENT + listener_table(f"unix:{path}") + upstream_table(9)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(relay(folder, config))
        address = address_of(running, path)
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        clients = [stack.enter_context(socket.socket(family)) for _ in range(BURST)]
        with running.stopped():
            made = await connect(clients, address)
        print(f"\n{made} of {BURST} found room")
        assert made == BURST
        answers = await asyncio.gather(*map(answer, clients))
        assert set(answers) == {b"HTTP/1.1 200 OK"}
        await running.settled()


@pytest.mark.parametrize(
    "address_of",
    [lambda running, path: ("127.0.0.1", running.port), lambda running, path: str(path)],
    ids=["tcp", "unix"],
)
def test_a_thousand_connections_at_once_are_all_made(
    tmp_path: Path, address_of: Callable[[Relay, Path], Address]
) -> None:
    run(burst(tmp_path, address_of), PATIENCE)
