"""What an end of a session does, by seed: what the protocol allows, and what it does not."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Literal

from attrs import frozen
from chaos.clients import BINARY, CLOSE, MORE, PING, PONG, TEXT, frame
from chaos.faults import reset
from chaos.walk import Walk

Act = Literal["say", "trickle", "wait", "stop", "read", "half", "fin", "reset", "vanish", "stay"]

ENDINGS: tuple[Act, ...] = ("reset", "reset", "fin", "half", "vanish", "stay")

WHOLE = 32768
"""Bytes of a frame beyond which a relay may pass it on before it is whole."""
GIANT = 300_000

TRICKLED = 40
"""Bytes that come one by one at most; the others follow at once."""

CHUNK = 65536
LIMIT = 4096
"""Bytes that an end reads ahead, so that one that stops reading soon does."""

CODES = (*range(1000, 1017), 0, 999, 2999, 3000, 4000, 4999, 5000, 65535)


@frozen
class Step:
    """
    One thing that an end does.

    @ivar act: C{say} at once, or C{trickle}; C{wait}; C{stop} reading, or C{read} on; and what is
        the last: a C{half} close, C{fin}, C{reset}, to C{stay} and read, or to C{vanish}: the
        connection stays and nothing is read or said any more.
    """

    act: Act
    data: bytes = b""
    seconds: float = 0.0


Script = list[Step]


# -- words ---------------------------------------------------------------------------------


def _filler(random: Random, low: int, high: int) -> bytes:
    """Dots: where a header is looked for among them, it is none."""
    return b"." * random.randint(low, high)


def _small(random: Random, masked: bool) -> bytes:
    kind = random.choice((TEXT, BINARY))
    size = random.choice((0, 1, 125, 126, 200, 5000, WHOLE - 20, WHOLE + 20))
    return frame(kind, _filler(random, 0, size), masked=masked)


def _giant(random: Random, masked: bool) -> bytes:
    return frame(BINARY, _filler(random, WHOLE, GIANT), masked=masked)


def _many(random: Random, masked: bool) -> bytes:
    return frame(TEXT, _filler(random, 0, 3), masked=masked) * random.randint(10, 2000)


def _fragments(random: Random, masked: bool) -> bytes:
    """A message in parts, with control frames in between; perhaps without its last."""
    most = random.choice((5, 500, WHOLE * 2))
    parts = [frame(TEXT, _filler(random, 0, most), fin=False, masked=masked)]
    for _ in range(random.randint(0, 5)):
        parts.append(frame(MORE, _filler(random, 0, most), fin=False, masked=masked))
        if random.random() < 0.3:
            parts.append(_control(random, masked))
    if random.random() < 0.7:
        parts.append(frame(MORE, _filler(random, 0, most), masked=masked))
    return b"".join(parts)


def _control(random: Random, masked: bool) -> bytes:
    pings = random.choice((1, 1, 1, 2, 300))
    return frame(random.choice((PING, PING, PONG)), _filler(random, 0, 125), masked=masked) * pings


def _close(random: Random, masked: bool) -> bytes:
    reason = random.choice((b"", b"because", b"." * 123, b"\xff\xfe", "é".encode() * 61))
    code = random.choice((1000, random.choice(CODES))).to_bytes(2, "big")
    return frame(CLOSE, random.choice((b"", b"\x03", code, code + reason)), masked=masked)


def _fault(random: Random, masked: bool) -> bytes:
    text = frame(TEXT, b"text", masked=masked)
    return random.choice(
        (
            bytes((text[0] | 0x40,)) + text[1:],
            frame(3, b"", masked=masked),
            frame(11, b"", masked=masked),
            frame(TEXT, b"text", masked=not masked),
            frame(MORE, b"text", masked=masked),
            frame(TEXT, b"te", fin=False, masked=masked) + text,
            frame(TEXT, b"\xff\xff", masked=masked),
            frame(PING, b"." * 126, masked=masked),
            frame(PING, b"", fin=False, masked=masked),
            frame(BINARY, b"." * 100, declared=2**33, masked=masked),
            frame(BINARY, b"", declared=2**63, masked=masked),
            random.randbytes(random.randint(1, 300)),
        )
    )


def begun(random: Random, masked: bool) -> tuple[bytes, bytes]:
    """A frame in two: what is said now, and what is perhaps said later. Most are giants."""
    size = random.choice((5, 300, WHOLE - 100, WHOLE + 100, 100_000, GIANT))
    whole = frame(random.choice((TEXT, BINARY)), b"." * size, masked=masked)
    cut = random.choice((random.randint(1, 15), random.randint(1, len(whole) - 1)))
    return whole[:cut], whole[cut:]


WORDS: dict[Callable[[Random, bool], bytes], float] = {
    _small: 6,
    _giant: 2,
    _many: 0.5,
    _fragments: 3,
    _control: 5,
    _close: 1,
    _fault: 0.7,
}
"""How often each is said."""


def _word(random: Random, masked: bool) -> bytes:
    (word,) = random.choices(list(WORDS), list(WORDS.values()))
    return word(random, masked)


# -- scripts -------------------------------------------------------------------------------


def _pause(random: Random, most: float = 0.03) -> Step:
    return Step("wait", seconds=random.random() * most)


def _say(random: Random, data: bytes) -> Script:
    """At once, trickled, or in a few chunks."""
    if random.random() < 0.1:
        return [Step("trickle", data)]
    script, most = [], random.choice((0, 0, 1, 3))
    for _ in range(random.randint(0, most)):
        cut = random.randint(0, len(data))
        script += [Step("say", data[:cut]), Step("wait", seconds=random.choice((0, 0.002)))]
        data = data[cut:]
    return [*script, Step("say", data)]


def anything(random: Random, masked: bool) -> Script:
    """In any order."""
    script: Script = []
    for _ in range(random.randint(0, 8)):
        kind = random.random()
        if kind < 0.55:
            script += _say(random, _word(random, masked))
        elif kind < 0.7:
            now, later = begun(random, masked)
            script += [*_say(random, now), _pause(random)]
            script += _say(random, later) if random.random() < 0.6 else []
        elif kind < 0.9:
            script.append(_pause(random))
        else:
            script.append(Step(random.choice(("stop", "read"))))
    return [*script, Step(random.choice(ENDINGS))]


def holds_a_frame(random: Random, masked: bool) -> Script:
    """Begins a giant frame and ends, often within it."""
    size = random.randint(WHOLE + 1, GIANT)
    whole = frame(random.choice((TEXT, BINARY)), b"." * size, masked=masked)
    cut = random.randint(15, size)
    script = [*_say(random, whole[:cut]), _pause(random, 0.1)]
    if random.random() < 0.3:
        script += [*_say(random, whole[cut:]), _pause(random)]
    return [*script, Step(random.choice(ENDINGS))]


def speaks_within(random: Random, masked: bool) -> Script:
    """Has the relay answer while a frame is under way to it, and ends."""
    script = [_pause(random, 0.06)]
    for _ in range(random.choice((1, 1, 2))):
        words = (_control, _control, _control, _close, _fault, _small)
        script += [*_say(random, random.choice(words)(random, masked)), _pause(random, 0.02)]
    return [*script, Step(random.choice(ENDINGS))]


def floods(random: Random, masked: bool) -> Script:
    """Says more than the system keeps for one that does not read."""
    script: Script = []
    for _ in range(random.randint(1, 20)):
        script += [Step("say", _giant(random, masked)), _pause(random, 0.01)]
    return [*script, _pause(random, 0.1), Step(random.choice(ENDINGS))]


def does_not_read(random: Random, masked: bool) -> Script:
    """Reads nothing for a while, and perhaps again, or ends so."""
    script = [Step("stop"), _pause(random, 0.3)]
    script += _say(random, _word(random, masked)) if random.random() < 0.5 else []
    script += [Step("read"), _pause(random, 0.1)] if random.random() < 0.3 else []
    return [*script, Step(random.choice(ENDINGS))]


Part = Callable[[Random, bool], Script]

PARTS: dict[tuple[Part, Part], float] = {
    (anything, anything): 5,
    (holds_a_frame, speaks_within): 4,
    (floods, does_not_read): 2,
}
"""How often two ends play these, this way round or the other."""


def scripts(random: Random) -> tuple[Script, Script]:
    """Of a client and its upstream."""
    (parts,) = random.choices(list(PARTS), list(PARTS.values()))
    client, upstream = parts if random.random() < 0.5 else parts[::-1]
    return client(random, True), upstream(random, False)


# -- playing -------------------------------------------------------------------------------


class End:
    """
    One end of a session that is open.

    @ivar heard: what it heard.
    @param masked: whether it is the client's.
    """

    def __init__(self, reader: StreamReader, writer: StreamWriter, masked: bool) -> None:
        self.heard = Walk(masked=not masked)
        self._reader = reader
        self._writer = writer
        self._reads = asyncio.Event()
        self._reads.set()
        self._listening = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        with suppress(OSError):
            while await self._reads.wait() and (data := await self._reader.read(CHUNK)):
                self.heard.feed(data)

    async def play(self, script: Script) -> None:
        """Do all of it, or as much as can be done until the other side ends the connection."""
        for step in script:
            if self._writer.transport.is_closing():
                return
            await self._do(step)

    async def _do(self, step: Step) -> None:
        match step.act:
            case "say":
                self._say(step.data)
            case "trickle":
                await self._trickle(step.data)
            case "wait":
                await asyncio.sleep(step.seconds)
            case "stop" | "vanish":
                self._reads.clear()
            case "read" | "stay":
                self._reads.set()
            case "half" if self._writer.can_write_eof():
                self._writer.write_eof()
            case "half" | "fin":
                self._writer.close()
            case "reset":
                reset(self._writer)

    def _say(self, data: bytes) -> None:
        if not self._writer.transport.is_closing():
            self._writer.write(data)

    async def _trickle(self, data: bytes) -> None:
        for byte in data[:TRICKLED]:
            self._say(bytes((byte,)))
            await asyncio.sleep(0.001)
        self._say(data[TRICKLED:])

    async def leave(self) -> None:
        """Let go of the connection, whatever is left of it."""
        self._listening.cancel()
        self._writer.transport.abort()
        await asyncio.wait([self._listening])
