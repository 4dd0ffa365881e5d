"""
The beginning of each message, and what can be read in it: for those who watch a session.

Source: RFC 6455, 5.3; RFC 8259.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from relay.peer.control import xor
from relay.rules.closes import Side
from relay.rules.scrub import redact
from relay.rules.values import as_table, as_text, parse_json
from relay.session.frames import Piece
from relay.telemetry.crossings import Sender

BEGINNING = 16384
"""Bytes of a message that are looked at for its type and its words, from its start."""

BINARY = 2
"""The opcode of a binary message."""

LONGEST_TYPE = 100
"""Bytes of a type that are told."""

View: TypeAlias = Callable[[Sender, bytes, int, bool], None]
"""Is shown a message: whose it is, its first bytes, its size, and whether it is binary."""


class Seen(Protocol):
    """
    Is shown messages, as a L{View}.

    @ivar most: bytes of each that it is shown at most; asked anew for each.
    """

    @property
    def most(self) -> int: ...

    def __call__(self, sender: Sender, beginning: bytes, size: int, is_binary: bool, /) -> None: ...


SENDERS: Mapping[Side, Sender] = {"downstream": "client", "upstream": "upstream"}

# An event's own type behind its first members, if these are plain strings and numbers.
_TYPE = re.compile(
    rb'\s*+\{\s*+(?:"(?!type")[^"\\]*+"\s*+:\s*+(?:"[^"\\]*+"|[-+.\w]++)\s*+,\s*+)*+'
    rb'"type"\s*+:\s*+"([^"\\]++)"'
)

# Long runs without a space are audio or pictures in base64, not words. Some write "/" as "\/".
# The look-behind keeps the search from trying each place within a shorter run.
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\\-])[A-Za-z0-9+/_\\-]{200,}+={0,2}")
_SHOWN_BASE64 = 32


class Glance:
    """
    A tap (see L{relay.session.frames.Tap}) that keeps the beginning of the message in flight.

    @param side: sends the messages. A client masks them.
    @param seen: is shown each message when its end is there.
    """

    def __init__(self, side: Side, seen: Seen) -> None:
        self._sender = SENDERS[side]
        self._is_masked = side == "downstream"
        self._seen = seen
        self._mask = b""
        self._in_frame = 0  # bytes of the frame in flight that were there before
        self._beginning = bytearray()  # of the message in flight
        self._size = self._most = 0
        self._is_binary = False

    def __call__(self, data: Piece, start: int, end: int, opening: int, final: bool) -> None:
        """See a portion of a message."""
        if opening:
            self._beginning, self._size = bytearray(), 0
            self._is_binary, self._most = opening == BINARY, self._seen.most
        if start and self._is_masked:  # the header of the frame ends with its mask
            self._mask, self._in_frame = bytes(data[start - 4 : start]), 0
        missing = self._most - len(self._beginning)
        if missing > 0:
            part = bytes(data[start : min(end, start + missing)])
            self._beginning += self._unmasked(part) if self._is_masked else part
        self._in_frame += end - start
        self._size += end - start
        if final:
            self._seen(self._sender, bytes(self._beginning), self._size, self._is_binary)

    def _unmasked(self, data: bytes) -> bytes:
        turn = self._in_frame % 4
        return xor(self._mask[turn:] + self._mask[:turn], data)


def type_of(beginning: bytes, size: int) -> str | None:
    """
    The type of an event: behind strings and numbers at most; of a message that is all there,
    wherever it stands.

    @param size: of the whole message.
    """
    found = _TYPE.match(beginning)
    if found is not None:
        return found[1][:LONGEST_TYPE].decode("utf-8", "replace")
    whole = parse_json(beginning) if size == len(beginning) else None
    return as_text(as_table(whole).get("type"))[:LONGEST_TYPE] or None


def text_of(beginning: bytes, secrets: Iterable[str]) -> str | None:
    """
    What a message says, with long base64 shortened; L{None} if it is no text.

    @param secrets: are not in it.
    """
    try:
        text = getincrementaldecoder("utf-8")().decode(beginning)  # its last character may be cut
    except UnicodeDecodeError:
        return None
    return _BASE64.sub(_shortened, redact(text, secrets))


def _shortened(base64: re.Match[str]) -> str:
    text = base64[0]
    return f"{text[:_SHOWN_BASE64]}…[{len(text) - _SHOWN_BASE64} more characters]"
