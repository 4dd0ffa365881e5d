"""Clients that do as they like: each is a coroutine on a connection of its own."""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from chaos.faults import reset
from chaos.peers import FIRST

_REQUEST = (
    b"GET /v1/realtime?model=%b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def request(model: str) -> bytes:
    """The head of an upgrade."""
    return _REQUEST % model.encode()


REQUEST = request("echo")

HEADS = (b"HTTP/1.1 101 ", b"HTTP/1.1 4", b"HTTP/1.1 5")

MORE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    masked: bool = True,
    declared: int | None = None,
) -> bytes:
    """
    A frame, with a mask of zeros if it is a client's.

    @param declared: the length that its header says.
    """
    size = len(payload) if declared is None else declared
    first, bit = (0x80 if fin else 0) | opcode, 0x80 if masked else 0
    if size < 126:
        length = bytes((bit | size,))
    elif size < 2**16:
        length = bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((bit | 127,)) + size.to_bytes(8, "big")
    return bytes((first,)) + length + (bytes(4) if masked else b"") + payload


Way = Callable[[StreamReader, StreamWriter, Random], Awaitable[str]]
"""Uses a connection; says what became of it."""

GOODBYE = frame(CLOSE, b"\x03\xe8")
"""A Close with 1000."""


async def read_frame(reader: StreamReader) -> tuple[int, bytes]:
    """
    The next whole frame of a server that is no Ping or Pong: opcode and payload.

    @raise EOFError: if the connection ends before.
    """
    while True:
        first, length = await reader.readexactly(2)
        if length > 125:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        payload = await reader.readexactly(length)
        if first & 0x0F not in (PING, PONG):
            return first & 0x0F, payload


@asynccontextmanager
async def session(port: int, model: str) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A session that is open; its connection ends at the end by a FIN."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert await open_session(reader, writer, model) == "opened"
        yield reader, writer
    finally:
        writer.close()


async def read_close(reader: StreamReader) -> int | None:
    """Read on until a Close; its code."""
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big") if payload else None


async def read_answer(reader: StreamReader) -> str:
    """
    The relay's answer to an upgrade: C{opened}, or the code of a refusal that is complete.

    @raise EOFError: if the connection ends before one is whole.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 101 "):
        return "opened"
    assert head.startswith(HEADS), head
    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
    error = json.loads(await reader.readexactly(length))["error"]
    assert (await reader.read()) == b"", "something behind the answer"
    return str(error["code"])


async def open_session(reader: StreamReader, writer: StreamWriter, model: str = "echo") -> str:
    """
    Ask for a session; how that was answered. Upstream's first event is the first thing in one that
    C{opened}, unless a faulty network has C{altered} it.
    """
    writer.write(request(model))
    answer = await read_answer(reader)
    if answer == "opened":
        opcode, payload = await read_frame(reader)
        if opcode == CLOSE:
            return "closed at once"
        if (opcode, payload) != (TEXT, FIRST):
            return "altered"
    return answer


async def _polite(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    answer = await open_session(reader, writer)
    if answer == "opened":
        said = b"%x" % random.getrandbits(8 * random.randint(1, 200))
        writer.write(frame(TEXT, said))
        opcode, heard = await read_frame(reader)
        if opcode == CLOSE:
            return "closed"
        if heard != said:
            return "altered"
        writer.write(GOODBYE)
        assert await read_close(reader) == 1000
        assert await reader.read() == b""
    return answer


async def _fin_in_head(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(REQUEST[: random.randint(0, len(REQUEST) - 1)])
    return "left"


async def _reset_in_head(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(REQUEST[: random.randint(0, len(REQUEST) - 1)])
    await asyncio.sleep(0)
    reset(writer)
    return "left"


async def _fin_in_hold(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(REQUEST)
    await asyncio.sleep(random.random() * 0.01)
    return "left"


async def _reset_in_hold(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(REQUEST)
    await asyncio.sleep(random.random() * 0.01)
    reset(writer)
    return "left"


async def _half_closed(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    """Ends its sending half: for a relay it has left."""
    writer.write(REQUEST)
    writer.write_eof()
    await reader.read()
    return "left"


async def _too_early(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(REQUEST + frame(TEXT, b"too early"))
    answer = await read_answer(reader)
    assert answer == "bad_request"
    return answer


async def _garbage(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(random.randbytes(200) + b"\r\n\r\n")
    answer = await read_answer(reader)
    assert answer == "bad_request"
    return answer


def _in_session(act: Way) -> Way:
    """What is done once a session is open."""

    async def way(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
        answer = await open_session(reader, writer)
        return await act(reader, writer, random) if answer == "opened" else answer

    return way


@_in_session
async def _fin(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    return "gone"


@_in_session
async def _reset(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    reset(writer)
    return "gone"


@_in_session
async def _fin_in_frame(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(frame(TEXT, b"half", declared=random.choice((5, 300, 70000))))
    return "gone"


@_in_session
async def _reset_in_frame(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(frame(TEXT, b"half", declared=random.choice((5, 300, 70000))))
    await asyncio.sleep(random.random() * 0.005)
    reset(writer)
    return "gone"


@_in_session
async def _close_and_go(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(frame(TEXT, b"last words") + GOODBYE)
    return "gone"


@_in_session
async def _breaks_rules(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(random.choice((b"\x81\x04text", b"\xf1\x80\0\0\0\0", b"\x83\x80\0\0\0\0")))
    assert await read_close(reader) in (1002, 1011)
    return "broke"


@_in_session
async def _impossible_close(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    writer.write(frame(CLOSE, random.choice((0, 1004, 1005, 2999, 5000)).to_bytes(2, "big")))
    assert await read_close(reader) in (1002, 1011)
    return "broke"


@_in_session
async def _never_closes(reader: StreamReader, writer: StreamWriter, random: Random) -> str:
    """Says goodbye and stays until it is cut."""
    writer.write(GOODBYE)
    await reader.read()
    await asyncio.sleep(random.random())
    return "gone"


WAYS: tuple[Way, ...] = (
    _polite,
    _fin_in_head,
    _reset_in_head,
    _fin_in_hold,
    _reset_in_hold,
    _half_closed,
    _too_early,
    _garbage,
    _fin,
    _reset,
    _fin_in_frame,
    _reset_in_frame,
    _close_and_go,
    _breaks_rules,
    _impossible_close,
    _never_closes,
)
"""All of them."""


async def go(way: Way, port: int, random: Random) -> str:
    """
    Connect, and use the connection in one way.

    @return: what became of it; C{lost} if it ended before the client had what it waited for.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await way(reader, writer, random)
    except (OSError, EOFError):
        return "lost"
    finally:
        writer.close()
