"""
Walk the frames of a byte stream without reading what they carry.

Data frames cross as the bytes they came in, neither unmasked nor joined; control frames are about
one hop only and are taken out.

Source: RFC 6455, 5.2 to 5.5, without extensions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

Piece: TypeAlias = bytes | memoryview

Tap: TypeAlias = Callable[[Piece, int, int, bool, bool], None]
"""
Shown what passes of text messages: C{tap(data, start, end, opening, final)}. The portion
C{data[start:end]}, masked as it came and perhaps empty, is the first or last of its message or not.
"""

_CLOSE, _PING, _PONG = 8, 9, 10

# What a first byte begins. Those from _FIRST on begin a message, those from _WHOLE on are one.
_SPECIAL, _MORE, _LAST, _FIRST, _FIRST_TEXT, _WHOLE, _WHOLE_TEXT = range(7)
_TEXT = (_FIRST_TEXT, _WHOLE_TEXT)
_FINAL = (_LAST, _WHOLE, _WHOLE_TEXT)

# Bytes of a longer length, their reader, and the least that needs them (RFC 6455, 5.2).
_EXTENDED = {
    126: (2, struct.Struct("!H").unpack_from, 126),
    127: (8, struct.Struct("!Q").unpack_from, 1 << 16),
}


def _table(kinds: dict[int, int]) -> bytes:
    """A kind for each of 256 first bytes; all but these are control frames or faults."""
    return bytes(kinds.get(first, _SPECIAL) for first in range(256))


_BETWEEN = _table({0x01: _FIRST_TEXT, 0x02: _FIRST, 0x81: _WHOLE_TEXT, 0x82: _WHOLE})
_INSIDE = _table({0x00: _MORE, 0x80: _LAST})


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame, not masked, with an opcode of 0 to 15."""
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + length + payload


def _unmasked(mask: bytes, data: bytes) -> bytes:
    """C{data}, at most 125 bytes, with the four bytes of C{mask} taken off."""
    stream = (mask * 32)[: len(data)]
    plain = int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")
    return plain.to_bytes(len(data), "big")


class FrameWalk:
    """
    Walks the frames of one direction of one connection, chunk by chunk.

    What it finds does not depend on how the stream was cut into chunks, but for Pings: of several
    in a chunk the last one is left. After an exception out of the tap, it is of no more use.

    @ivar left: bytes still to come of the frame whose header has crossed.
    @ivar begun: while C{left} is not 0, bytes of that frame that have crossed, its header included.
    @ivar told: whether a control frame or a fault was found; for the owner to clear.
    @ivar controls: how many Pings and Pongs were found; for the owner to clear.
    @ivar ping: payload of the last Ping, unmasked, 125 bytes at most; for the owner to clear. Only
        the last need be answered (RFC 6455, 5.5.3).
    @ivar close: payload of the Close, unmasked, 0 or 2 to 125 bytes. Nothing behind it is read.
    @ivar fault: close code and reason for what is wrong. Nothing behind it is read.
    """

    def __init__(
        self, *, masked: bool, message_bytes: int, message_fragments: int, tap: Tap | None = None
    ) -> None:
        """
        @param masked: whether frames must be masked (a client sends these) or must not be.
        @param message_bytes: payload of a message at most, its frames together; below 2**63.
        @param message_fragments: frames of a message at most, from 1.
        @param tap: is shown text messages.
        """
        self.left = self.begun = 0
        self.told = False
        self.controls = 0
        self.ping: bytes | None = None
        self.close: bytes | None = None
        self.fault: tuple[int, str] | None = None
        self._mask_bit = 0x80 if masked else 0
        self._short = 6 if masked else 2  # the shortest header
        self._message_bytes = message_bytes
        self._message_fragments = message_fragments
        self._tap = tap
        self._tapping = False  # whether the message in flight is one for the tap
        self._kinds = _BETWEEN
        self._final = False  # whether the frame in flight ends its message
        self._size = self._fragments = 0  # of the fragmented message in flight
        self._messages = self._payload = 0  # as headers announced them
        self._held = b""
        self._over = False

    @property
    def messages(self) -> int:
        """Data messages of which the last byte has crossed."""
        return self._messages - (self._final and self.left > 0)

    @property
    def payload(self) -> int:
        """Bytes of payload of data frames that have crossed."""
        return self._payload - self.left

    def feed(self, data: Piece) -> list[Piece]:
        """
        Take a chunk; return what crosses now, in order: mostly the chunk itself.

        A data frame crosses as it comes, from its whole header on. Of headers and control frames
        that are not whole 130 bytes at most are held back; nothing else is copied.
        """
        if self._held or self._over:
            return self._resume(data)
        end = len(data)
        pos = self.left
        if pos:
            if self._tapping:
                self._show(_LAST if self._final else _MORE, data, 0, pos)
            if pos >= end:
                self.left = pos - end
                self.begun += end
                return [data]
        # One turn a frame, of which a chunk holds up to 32,768: a whole message costs no call and
        # no attribute.
        pieces: list[Piece] = []
        kinds, limit, tap = self._kinds, self._message_bytes, self._tap
        mask_bit, short = self._mask_bit, self._short
        start = begun = kind = messages = payload = 0
        last = end - 1
        while pos < last:  # two bytes are there, and judged at once
            kind = kinds[data[pos]]
            length = data[pos + 1] ^ mask_bit  # with the wrong mask bit: more than 127
            if not kind or length > 127:
                after = self._special(data, pos, end)
                if after == pos:
                    break
                if start < pos:
                    pieces.append(memoryview(data)[start:pos])
                start = pos = after
                continue
            at = pos + short
            if length > 125:
                size, unpack, least = _EXTENDED[length]
                at += size
                if at > end:
                    break
                (length,) = unpack(data, pos + 2)
                if length < least:
                    self._fail(1002, "length not in its shortest form")
                    break
            elif at > end:
                break
            if kind >= _WHOLE and length <= limit:
                messages += 1
            elif self._admits(kind, length):
                kinds = self._kinds
            else:
                break
            payload += length
            begun, pos = pos, at + length
            if tap is not None:
                self._show(kind, data, at, pos)
        self._final = kind in _FINAL
        self._messages += messages
        self._payload += payload
        self.begun = end - begun
        return self._cut(data, start, pos, pieces)

    def _cut(self, data: Piece, start: int, pos: int, pieces: list[Piece]) -> list[Piece]:
        """
        End a chunk of which C{data[start:pos]} is still to cross.

        @param pos: where the frame not walked begins, perhaps behind the chunk.
        """
        end = len(data)
        if pos >= end:
            self.left = pos - end
            if not start and end:
                return [data]
            pos = end
        else:
            self.left = 0
            if not self._over:
                self._held = bytes(data[pos:])
        if start < pos:
            pieces.append(memoryview(data)[start:pos])
        return pieces

    def _resume(self, data: Piece) -> list[Piece]:
        """Take the chunk behind one that ended in what had to be held back."""
        if self._over:
            return []
        rest = memoryview(data)
        while rest and (missing := self._missing()):
            self._held += bytes(rest[:missing])
            rest = rest[missing:]
        held, self._held = self._held, b""
        pieces = self.feed(held)
        return pieces + self.feed(rest) if rest else pieces

    def _missing(self) -> int:
        """Bytes that what is held back wants to be a whole header or control frame."""
        held = self._held
        if len(held) < 2:
            return 2 - len(held)
        length = held[1] & 0x7F
        more = length if held[0] & 8 else _EXTENDED.get(length, (0,))[0]
        return max(0, self._short + more - len(held))

    def _special(self, data: Piece, pos: int, end: int) -> int:
        """
        Take the control frame at C{pos}, of which two bytes are there, or name the fault.

        @return: where the next frame begins; C{pos} if none does, or not yet.
        """
        first, second = data[pos], data[pos + 1]
        if reason := self._wrong(first, second):
            self._fail(1002, reason)
            return pos
        at = pos + self._short
        after = at + (second & 0x7F)
        if after > end:
            return pos
        self.told, opcode = True, first & 0x0F
        if opcode != _CLOSE:
            self.controls += 1
        if opcode == _PONG:
            return after
        payload = bytes(data[at:after])
        if second & 0x80:
            payload = _unmasked(bytes(data[at - 4 : at]), payload)
        if opcode == _PING:
            self.ping = payload
            return after
        self.close, self._over = payload, True
        return pos

    def _wrong(self, first: int, second: int) -> str | None:
        """What is wrong with a frame that begins so, unless it is a control frame."""
        opcode, length = first & 0x0F, second & 0x7F
        if first & 0x70:
            return "reserved bits set"
        if (second ^ self._mask_bit) & 0x80:
            return "frame not masked" if self._mask_bit else "frame masked"
        if opcode not in (0, 1, 2, _CLOSE, _PING, _PONG):
            return "reserved opcode"
        if opcode < _CLOSE:
            return "new message inside a message" if opcode else "continuation without a message"
        if not first & 0x80:
            return "fragmented control frame"
        if length > 125:
            return "control frame too long"
        return "close payload of one byte" if opcode == _CLOSE and length == 1 else None

    def _admits(self, kind: int, length: int) -> bool:
        """Count a fragment; L{False} for it, or a whole message, if it is too much."""
        if kind >= _FIRST:
            self._size = self._fragments = 0
        self._size += length
        self._fragments += 1
        if length >> 63:
            self._fail(1002, "length above 63 bits")
        elif self._size > self._message_bytes:
            self._fail(1009, "message too large")
        elif self._fragments > self._message_fragments:
            self._fail(1009, "too many fragments")
        else:
            self._messages += kind == _LAST
            self._kinds = _BETWEEN if kind == _LAST else _INSIDE
        return not self._over

    def _fail(self, code: int, reason: str) -> None:
        self.fault = (code, reason)
        self.told = self._over = True

    def _show(self, kind: int, data: Piece, at: int, pos: int) -> None:
        """
        Show the tap what the chunk has of a frame, if that is text.

        @param kind: of the frame; a continuation for one that began in an earlier chunk.
        @param at: where its payload begins here; it ends at C{pos}, perhaps behind the chunk.
        """
        if kind >= _FIRST:
            self._tapping = kind in _TEXT
        if self._tapping and self._tap is not None:
            final = kind in _FINAL and pos <= len(data)
            self._tap(data, at, min(pos, len(data)), kind in _TEXT, final)
