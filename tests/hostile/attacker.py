"""
All families of attacks on a relay at once.

    python attacker.py PORT TLS_PORT SECONDS SEED

Both ports take the PROXY protocol, and each attack comes from one of L{WORKERS} addresses. It
prints as JSON how often it did what. The relay may refuse, close or drop each connection as it
likes; only a relay that no longer accepts any ends the script with an error.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from time import monotonic

import uvloop
from chaos.broken_frames import BY_CLIENT
from chaos.clients import BINARY, PING, REQUEST, TEXT, WAYS, frame, open_session
from chaos.faults import reset
from integration.refused_requests import MALFORMED

WORKERS = 40
"""Attacks under way at once."""

PAUSE_SECONDS = 0.4
"""From one attack of a worker to the next, on the average: some 70 attacks a second in all."""

LOOKS = 0.3
"""Seconds for which an attacker goes on, or waits for an answer."""

Attack = Callable[[StreamReader, StreamWriter, Random], Awaitable[None]]


# -- heads ---------------------------------------------------------------------------------


async def malformed(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """One of the requests that are refused."""
    writer.write(random.choice(MALFORMED).data)
    await reader.read()


async def trickled(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """A head that comes byte by byte."""
    for at in range(30):
        writer.write(REQUEST[at : at + 1])
        await asyncio.sleep(LOOKS / 30)


async def huge(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """A head without an end."""
    writer.write(REQUEST[:-2] + b"X-Long: " + b"a" * 2**20)
    await reader.read()


async def noise(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """Nothing that means anything."""
    writer.write(random.randbytes(random.randint(1, 70_000)))
    await reader.read()


# -- credentials ---------------------------------------------------------------------------


def _guess(random: Random) -> bytes:
    guess = urlsafe_b64encode(random.randbytes(random.choice((8, 32, 2000)))).rstrip(b"=")
    return random.choice((b"ek_v1.", b"ek_", b"rk_", b"eyJhbGciOiJub25lIn0.", b"")) + guess


async def guessed(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """A credential that is none."""
    way = random.choice((b"Authorization: Bearer ", b"api-key: "))
    writer.write(REQUEST[:-2] + way + _guess(random) + b"\r\n\r\n")
    await asyncio.wait_for(reader.read(65536), LOOKS)
    reset(writer)


# -- sessions ------------------------------------------------------------------------------


async def usual(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """One of the ways in which clients end badly."""
    await random.choice(WAYS)(reader, writer, random)


def in_session(attack: Attack) -> Attack:
    """What is done once a session is open."""

    async def whole(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
        if await open_session(reader, writer) == "opened":
            await attack(reader, writer, random)

    whole.__name__ = attack.__name__
    return whole


@in_session
async def broken(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """A frame that nobody may send."""
    writer.write(random.choice(list(BY_CLIENT.values()))[0])
    await reader.read()


async def _flood(reader: StreamReader, writer: StreamWriter, what: bytes) -> None:
    until = monotonic() + LOOKS
    reading = asyncio.ensure_future(reader.read())
    try:
        while monotonic() < until and not writer.is_closing():
            writer.write(what)
            await asyncio.wait_for(writer.drain(), LOOKS)
    finally:
        reading.cancel()
        await asyncio.wait([reading])
    reset(writer)


@in_session
async def pings(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """Pings as fast as they go."""
    await _flood(reader, writer, frame(PING, b"." * 125) * 1000)


@in_session
async def empty(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """Messages without anything in them."""
    await _flood(reader, writer, frame(TEXT, b"") * 5000)


@in_session
async def unread(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """Megabytes, whose echo it does not read."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(frame(BINARY, b"." * 2**20) * 4)
    await asyncio.sleep(LOOKS)
    reset(writer)


@in_session
async def half(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """The beginning of a message of 8 MiB."""
    writer.write(frame(BINARY, b"." * 70_000, declared=2**23))
    await asyncio.sleep(LOOKS)
    reset(writer)


# -- connections ---------------------------------------------------------------------------


async def silent(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """Nothing at all."""
    await asyncio.sleep(LOOKS)


async def gone(reader: StreamReader, writer: StreamWriter, random: Random) -> None:
    """A reset."""
    reset(writer)


PLAIN: tuple[Attack, ...] = (
    malformed,
    trickled,
    huge,
    noise,
    guessed,
    usual,
    broken,
    pings,
    empty,
    unread,
    half,
    silent,
    gone,
)

BY_TLS: tuple[Attack, ...] = (malformed, usual, broken, pings, empty, unread)


async def _attack(
    port: int, address: str, attack: Attack, random: Random, tls: ssl.SSLContext | None
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    writer.write(f"PROXY TCP4 {address} 127.0.0.1 1024 443\r\n".encode())
    try:
        if tls is not None:
            await writer.start_tls(tls)
        await asyncio.wait_for(attack(reader, writer, random), 10)
    except (OSError, EOFError, AssertionError, TimeoutError, NotImplementedError):
        pass  # whatever the relay makes of it; some ways are none by TLS
    except RuntimeError as error:
        if "closed" not in str(error):  # as uvloop says of a connection that the relay has ended
            raise
    finally:
        writer.close()


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _work(
    ports: tuple[int, int], address: str, until: float, random: Random, done: Counter[str]
) -> None:
    plain, secure = ports
    while monotonic() < until:
        await asyncio.sleep(2 * PAUSE_SECONDS * random.random())
        if random.random() < 0.1:
            attack = random.choice(BY_TLS)
            with_tls = random.random() < 0.8
            await _attack(secure, address, attack, random, _tls() if with_tls else None)
            done[f"{attack.__name__} by TLS" if with_tls else "no TLS"] += 1
        else:
            attack = random.choice(PLAIN)
            await _attack(plain, address, attack, random, None)
            done[attack.__name__] += 1


async def main(ports: tuple[int, int], seconds: float, seed: int) -> None:
    """Attack for so long."""
    # On the relay's own machine, it must not take the processor from it.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    done: Counter[str] = Counter()
    until = monotonic() + seconds
    works = [_work(ports, f"198.51.100.{n}", until, Random(seed + n), done) for n in range(WORKERS)]
    await asyncio.gather(*works)
    print(json.dumps(done))


if __name__ == "__main__":
    _, plain, secure, seconds, seed = sys.argv
    uvloop.run(main((int(plain), int(secure)), float(seconds), int(seed)))
