"""A TCP proxy that does to connections what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from random import Random
from typing import Literal, get_args

from attrs import frozen

Kind = Literal[
    "none", "refuse", "black_hole", "trickle", "reset", "fin", "half", "freeze", "corrupt"
]
Direction = Literal["there", "back"]
"""From who connected, or to it."""

Mix = Mapping[Kind, float]
"""How often each kind comes, as weights."""

ENDS = ("reset", "fin", "half", "freeze")

NONE: Mix = {"none": 1}
EVERY: Mix = dict.fromkeys(get_args(Kind), 1.0)

FURTHEST = 4096
"""Bytes after which a fault comes at most; half of them come within the first 64."""

TRICKLE_SECONDS = 0.0005
"""Between two bytes."""

FREEZE_SECONDS = 30.0
"""Longer than any test waits for something to end, and then it is out of the way."""

CHUNK = 65536

ABORT = struct.pack("ii", 1, 0)
"""The C{SO_LINGER} with which a close is a RST."""


@frozen
class Fault:
    """
    What happens to one connection.

    @ivar kind: C{none}; C{refuse}: reset when accepted; C{black_hole}: read and never answered;
        C{trickle}: one byte at a time; and when C{at} bytes have passed in one direction:
        C{reset} or C{fin} of both ends, C{half}: nothing more passes in this direction but a FIN,
        C{freeze}: nothing is read any more, C{corrupt}: one bit of the next byte turned over.
    """

    kind: Kind
    direction: Direction = "there"
    at: int = 0


def reset(writer: StreamWriter) -> None:
    """End a connection by a RST."""
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        writer.transport.abort()


class FaultProxy:
    """
    Passes connections on to a port of loopback, each with a fault of its own.

    @ivar port: where it listens.
    @ivar mix: what happens to connections from now on.
    @ivar accepted: connections so far, by what happened to them.
    """

    def __init__(self, target: int, mix: Mix = NONE, seed: int = 0) -> None:
        self.port = 0
        self.mix = mix
        self.accepted: Counter[Kind] = Counter()
        self._target = target
        self._random = Random(seed)
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[StreamWriter]] = {}

    async def listen(self) -> None:
        """Accept connections, at the same port as before."""
        assert self._server is None, "it listens"
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    def close_port(self) -> None:
        """Accept no more: who connects is refused by the system. What is open stays."""
        if self._server is not None:
            self._server.close()
        self._server = None

    def reset_all(self) -> None:
        """Reset all that is open."""
        for writers in list(self._links.values()):
            for writer in writers:
                reset(writer)

    async def close(self) -> None:
        """End all of it."""
        self.close_port()
        links = list(self._links)
        self.reset_all()
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _choose(self) -> Fault:
        (kind,) = self._random.choices(list(self.mix), list(self.mix.values()))
        at = int(FURTHEST ** self._random.random())
        return Fault(kind, self._random.choice(("there", "back")), at)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        fault = self._choose()
        self.accepted[fault.kind] += 1
        link = asyncio.ensure_future(self._link(reader, writer, fault))
        self._links[link] = [writer]
        link.add_done_callback(self._links.pop)

    async def _link(self, reader: StreamReader, writer: StreamWriter, fault: Fault) -> None:
        if fault.kind == "refuse":
            reset(writer)
            return
        try:
            if fault.kind == "black_hole":
                await _drop(reader)
            else:
                back, onward = await asyncio.open_connection("127.0.0.1", self._target)
                self._links[_this_task()].append(onward)
                link = _Link(fault, writer, onward)
                await asyncio.gather(link.there(reader), link.back(back))
        except OSError:
            for end in self._links[_this_task()]:
                reset(end)
        for end in self._links[_this_task()]:
            end.close()


class _Link:
    """One connection that is passed on."""

    def __init__(self, fault: Fault, accepted: StreamWriter, onward: StreamWriter) -> None:
        self._fault = fault
        self._ends = accepted, onward

    async def there(self, reader: StreamReader) -> None:
        """What comes from who connected."""
        await self._pass_on(reader, self._ends[1], "there")

    async def back(self, reader: StreamReader) -> None:
        """What comes to it."""
        await self._pass_on(reader, self._ends[0], "back")

    async def _pass_on(
        self, reader: StreamReader, writer: StreamWriter, direction: Direction
    ) -> None:
        kind = self._fault.kind
        left = self._fault.at if self._fault.direction == direction else -1
        while data := await reader.read(CHUNK):
            if 0 <= left < len(data):
                if kind in ENDS:
                    await _write(data[:left], writer)
                    await self._end(reader, writer)
                    return
                if kind == "corrupt":
                    data = data[:left] + bytes((data[left] ^ 1 << left % 8,)) + data[left + 1 :]
            left -= len(data)
            await (_trickle if kind == "trickle" else _write)(data, writer)
        if not writer.transport.is_closing():
            writer.write_eof()

    async def _end(self, reader: StreamReader, writer: StreamWriter) -> None:
        """End the link, or this direction of it, with what was passed on before."""
        match self._fault.kind:
            case "half":
                writer.write_eof()
                await _drop(reader)
            case "fin":
                for end in self._ends:
                    end.close()
            case "freeze":
                for end in self._ends:
                    end.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(FREEZE_SECONDS)
                raise ConnectionResetError("out of the way")
            case _:
                await asyncio.sleep(0)  # a write is done at the end of the loop's turn
                raise ConnectionResetError("as asked for")


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def _write(data: bytes, writer: StreamWriter) -> None:
    if writer.transport.is_closing():
        raise ConnectionResetError("nobody is there")
    writer.write(data)
    await writer.drain()


async def _trickle(data: bytes, writer: StreamWriter) -> None:
    for byte in data:
        await _write(bytes((byte,)), writer)
        await asyncio.sleep(TRICKLE_SECONDS)


async def _drop(reader: StreamReader) -> None:
    while await reader.read(CHUNK):
        pass


@asynccontextmanager
async def proxy(target: int, mix: Mix = NONE, seed: int = 0) -> AsyncIterator[FaultProxy]:
    """A proxy to a port of loopback."""
    running = FaultProxy(target, mix, seed)
    await running.listen()
    try:
        yield running
    finally:
        await running.close()


@contextmanager
def unanswering_port() -> Iterator[int]:
    """A port whose connections the system neither makes nor refuses: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        port = int(server.getsockname()[1])
        for _ in range(2):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(("127.0.0.1", port))
        yield port
