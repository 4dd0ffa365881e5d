"""Who is slow and there is no silent one: a message may take longer than a Ping's answer may."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import cycle, product
from pathlib import Path

import pytest
from attrs import frozen
from chaos.accepting import accepting, number_of
from chaos.certificates import Certificates
from chaos.clients import BINARY, CLOSE, GOODBYE, PING, PONG, TEXT, frame, read_answer, request
from chaos.peers import FIRST
from chaos.relays import Relay, listener_table, relay, upstream_table
from chaos.scale import run
from processes import LOOPBACK

PATIENCE = 60

SETTINGS = """
[limits]
short_sessions = 0
ping_seconds = 1.0
pong_seconds = 2.0
"""

SIZE = 9 * 2**20
"""
Bytes of the message. So many that a slow reader is through with what its program has buffered,
which is up to a MiB with TLS, in less than half of C{pong_seconds}.
"""

STEPS = 70
STEP_SECONDS = 0.1
"""Its parts, and the time from one to the next: together twice as long as a Ping and its answer."""

BUFFER = 65536
"""
Bytes that the system keeps for a slow reader, or twice as many: read in less than a Ping may wait,
and so is what its program keeps (see L{SIZE}). Were it more, a relay could not tell it from one
that is silent: all has reached its system.
"""

OVER_SECONDS = 30.0
"""Until it has been lost."""

DONE = b"done"
"""What it is answered with."""

LEGS = (("tcp", "plain"), ("tls", "tls"), ("unix", "plain"))
"""Downstream's, and upstream's."""


@frozen
class Way:
    """
    How a message crosses.

    @ivar sender: C{client} or C{upstream}.
    @ivar slow: whether its C{sender} is slow, or its C{receiver}.
    @ivar legs: what it crosses by.
    """

    sender: str
    slow: str
    legs: tuple[str, str]


WAYS = [Way(*way) for way in product(("client", "upstream"), ("sender", "receiver"), LEGS)]


def unmasked(mask: bytes, payload: bytes) -> bytes:
    """What a control frame says."""
    return bytes(a ^ b for a, b in zip(payload, cycle(mask or b"\0"), strict=False))


class End:
    """
    One end of a session, which answers Pings as it comes to them.

    @param masked: whether it is the client's.
    @param slow: whether it takes its time.
    """

    def __init__(self, reader: StreamReader, writer: StreamWriter, masked: bool, slow: bool):
        self._reader = reader
        self._writer = writer
        self._masked = masked
        self._slow = slow
        if slow:
            ours = writer.get_extra_info("socket")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)

    async def play(self, sends: bool) -> str:
        """Its part; what came, or how its connection ended."""
        try:
            return await (self.send() if sends else self.receive())
        except (OSError, EOFError) as error:
            return repr(error)

    async def send(self) -> str:
        """Send the message, and wait for its answer; what came."""
        message = frame(BINARY, bytes(SIZE), masked=self._masked)
        part = len(message) // STEPS if self._slow else len(message)
        for start in range(0, len(message), part):
            if self._writer.transport.is_closing():
                break
            self._writer.write(message[start : start + part])
            if self._slow:
                await asyncio.sleep(STEP_SECONDS)
        return await self.next()

    async def receive(self) -> str:
        """Wait for the message, and answer it; what came."""
        came = await self.next()
        self._writer.write(frame(TEXT, DONE, masked=self._masked))
        return came

    async def next(self) -> str:
        """Read on until something comes that is no Ping or Pong; what it was."""
        while True:
            first, length = await self._reader.readexactly(2)
            masked, length = length & 0x80, length & 0x7F
            if length > 125:
                length = int.from_bytes(await self._read(2 if length == 126 else 8), "big")
            mask = await self._read(4 if masked else 0)
            payload = await self._read(length)
            if first & 0x0F in (TEXT, BINARY):
                return "whole" if length in (SIZE, len(DONE)) else f"{length} bytes"
            said = unmasked(mask, payload)
            if first & 0x0F == CLOSE:
                return f"closed {int.from_bytes(said[:2], 'big')} {said[2:].decode()}".strip()
            if first & 0x0F == PING and not self._writer.transport.is_closing():
                self._writer.write(frame(PONG, said, masked=self._masked))

    async def _read(self, size: int) -> bytes:
        if not self._slow or size < SIZE:
            return await self._reader.readexactly(size)
        parts = []
        for _ in range(STEPS):
            parts.append(await self._reader.readexactly(size // STEPS))
            await asyncio.sleep(STEP_SECONDS)
        return b"".join([*parts, await self._reader.readexactly(size % STEPS)])


async def closed(writer: StreamWriter) -> None:
    """End a connection, if it has not ended yet."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class Ways:
    """
    Sessions, one for each of L{WAYS}.

    @ivar came: what came to upstream, by the number of its way.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.came: list[asyncio.Future[str]] = [loop.create_future() for _ in WAYS]

    async def accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Upstream's end of one."""
        head = await reader.readuntil(b"\r\n\r\n")
        number = number_of(head)
        way, came = WAYS[number], self.came[number]
        writer.write(accepting(head) + frame(TEXT, FIRST, masked=False))
        sends = way.sender == "upstream"
        end = End(reader, writer, masked=False, slow=sends == (way.slow == "sender"))
        came.set_result(await end.play(sends))
        if came.result() == "whole":
            await end.next()
            writer.write(frame(CLOSE, b"\x03\xe8", masked=False))
        await closed(writer)

    async def call(self, number: int, running: Relay, path: Path, client: ssl.SSLContext) -> str:
        """Downstream's end of one; what came to both."""
        way = WAYS[number]
        downstream, upstream = way.legs
        if downstream == "unix":
            reader, writer = await asyncio.open_unix_connection(str(path))
        elif downstream == "tls":
            port = running.tls_port
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request(f"{upstream}&intent={number}"))
        assert await read_answer(reader) == "opened"
        sends = way.sender == "client"
        end = End(reader, writer, masked=True, slow=sends == (way.slow == "sender"))
        assert await end.next() == f"{len(FIRST)} bytes"
        came = f"{await end.play(sends)}, {await self.came[number]}"
        if came == "whole, whole":
            writer.write(GOODBYE)
            came = f"{came}, {await end.next()}"
        await closed(writer)
        return came


@asynccontextmanager
async def listening(ways: Ways, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Their upstreams; the port."""
    server = await asyncio.start_server(ways.accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def crossed(folder: Path, plane: str) -> None:
    certificates, ways = Certificates(folder), Ways()
    path = folder / "relay.socket"
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(listening(ways))
        tls = await stack.enter_async_context(listening(ways, certificates.server))
        config = f'plane = "{plane}"\n{SETTINGS}'
        config += listener_table(LOOPBACK, certificates.file) + listener_table(f"unix:{path}")
        config += upstream_table(plain, "plain", model="plain")
        config += upstream_table(tls, "tls", model="tls", ca_file=certificates.ca_file)
        running = await stack.enter_async_context(relay(folder, config))
        calls = [
            ways.call(number, running, path, certificates.client) for number in range(len(WAYS))
        ]
        came = await asyncio.wait_for(asyncio.gather(*calls), OVER_SECONDS)
        for way, what in zip(WAYS, came, strict=True):
            print(f"{way.sender} sends, {way.slow} is slow, by {'-'.join(way.legs)}: {what}")
        assert set(came) == {"whole, whole, closed 1000"}
        await running.settled()


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_message_may_take_longer_than_a_ping_and_its_pong(tmp_path: Path, plane: str) -> None:
    run(crossed(tmp_path, plane), PATIENCE)
