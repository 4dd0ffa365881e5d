"""The proxy does what it is asked for."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from chaos.faults import EVERY, Direction, Fault, FaultProxy, Kind, proxy, reset, unanswering_port

SECONDS = 10.0
"""Until something counts as not happening."""

SOON = 0.2
"""How long nothing must come, where nothing is to come."""

TEXT = bytes(range(256)) * 4


def run(test: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(test, SECONDS))


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


class Only(FaultProxy):
    """Has one fault for all."""

    def __init__(self, target: int, fault: Fault) -> None:
        super().__init__(target)
        self._fault = fault

    def _choose(self) -> Fault:
        return self._fault


async def through(fault: Fault) -> bytes | str:
    """What comes back of the text: bytes until the end, a reset, or silence."""
    async with echoing() as port:
        faulty = Only(port, fault)
        await faulty.listen()
        reader, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
        writer.write(TEXT)
        try:
            if fault.kind in ("none", "trickle", "corrupt"):
                return await reader.readexactly(len(TEXT))
            return await asyncio.wait_for(reader.read(-1), SOON)
        except ConnectionResetError:
            return "reset"
        except TimeoutError:
            return "silence"
        finally:
            reset(writer)
            await faulty.close()


@pytest.mark.parametrize(
    ("kind", "direction", "came"),
    [
        ("none", "there", "all"),
        ("refuse", "there", "reset"),
        ("black_hole", "there", "silence"),
        ("trickle", "there", "all"),
        ("reset", "there", "reset"),
        ("reset", "back", "reset"),
        ("fin", "back", "part"),
        ("half", "there", "part"),
        ("half", "back", "part"),
        ("freeze", "there", "silence"),
        ("freeze", "back", "silence"),
    ],
)
def test_the_proxy_does_each_kind_of_fault(kind: Kind, direction: Direction, came: str) -> None:
    async def test() -> None:
        parts = {"all": TEXT, "part": TEXT[:100]}
        assert await through(Fault(kind, direction, 100)) == parts.get(came, came)

    run(test())


@pytest.mark.parametrize("direction", ["there", "back"])
def test_the_proxy_turns_over_one_bit(direction: Direction) -> None:
    async def test() -> None:
        came = await through(Fault("corrupt", direction, 100))
        assert isinstance(came, bytes)
        differ = [(at, a ^ b) for at, (a, b) in enumerate(zip(TEXT, came, strict=True)) if a != b]
        assert differ == [(100, 1 << 100 % 8)]

    run(test())


@pytest.mark.parametrize("kind", ["reset", "freeze", "half", "fin"])
def test_the_proxy_passes_so_many_bytes_before_its_fault(kind: Kind) -> None:
    async def test() -> None:
        heard: list[bytes] = []

        async def listen(reader: StreamReader, writer: StreamWriter) -> None:
            try:
                while data := await reader.read(65536):
                    heard.append(data)
            except OSError:
                pass
            heard.append(b"")
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        faulty = Only(server.sockets[0].getsockname()[1], Fault(kind, "there", 100))
        await faulty.listen()
        _, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
        writer.write(TEXT)
        while sum(map(len, heard)) < 100:
            await asyncio.sleep(0.01)
        assert b"".join(heard) == TEXT[:100]
        reset(writer)
        await faulty.close()
        while heard[-1]:
            await asyncio.sleep(0.01)
        server.close()

    run(test())


def test_the_proxys_closed_port_refuses_until_it_is_opened_again() -> None:
    async def test() -> None:
        async with echoing() as port, proxy(port) as faulty:
            faulty.close_port()
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", faulty.port)
            await faulty.listen()
            _, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
            reset(writer)

    run(test())


def test_the_proxy_can_reset_all_open_connections() -> None:
    async def test() -> None:
        async with echoing() as port, proxy(port) as faulty:
            reader, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
            writer.write(b"here")
            assert await reader.readexactly(4) == b"here"
            faulty.reset_all()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            reset(writer)

    run(test())


def test_the_proxys_faults_follow_from_its_seed() -> None:
    def chosen(seed: int) -> list[Fault]:
        faulty = FaultProxy(1, EVERY, seed)
        return [faulty._choose() for _ in range(200)]

    assert chosen(1) == chosen(1) != chosen(2)
    assert {fault.kind for fault in chosen(1)} == set(EVERY)


def test_an_unanswering_port_lets_a_connect_time_out() -> None:
    with unanswering_port() as port, socket.socket() as client:
        client.settimeout(SOON)
        with pytest.raises(TimeoutError):
            client.connect(("127.0.0.1", port))
