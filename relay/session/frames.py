"""
Walk the frames of a byte stream without reading what they carry.

Data frames cross as the bytes they came in, neither unmasked nor joined. Control frames concern one
hop only, so they are taken out.

Source: RFC 6455, 5.2 to 5.5, without extensions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from copy import copy
from typing import TypeAlias

from relay.peer.control import xor

Piece: TypeAlias = bytes | memoryview

Tap: TypeAlias = Callable[[Piece, int, int, int, bool], None]
"""
Is shown text messages in portions: C{tap(data, start, end, opening, final)}. A portion is
C{data[start:end]}, masked as it came, and may be empty. C{opening} is the opcode of the message in
its first portion, 1 for text and 2 for binary, and 0 in any other. C{final} tells whether it is the
last. Where a frame begins with it, the frame's header stands before it in C{data}; otherwise
C{start} is 0.
"""

_CLOSE, _PING, _PONG = 8, 9, 10
_CONTROL = (0x80 | _CLOSE, 0x80 | _PING, 0x80 | _PONG)

# What kind of frame a first byte begins. Kinds from _FIRST on begin a message; kinds from _WHOLE on
# are a whole message.
_SPECIAL, _MORE, _LAST, _FIRST, _FIRST_TEXT, _WHOLE, _WHOLE_TEXT = range(7)
_TEXT = (_FIRST_TEXT, _WHOLE_TEXT)
_ANY = (*_TEXT, _FIRST, _WHOLE)
_OPENING = (0, 0, 0, 2, 1, 2, 1)  # what a tap is told of each kind
_FINAL = (_LAST, _WHOLE, _WHOLE_TEXT)
_CONTINUED = (_MORE, _FIRST, _FIRST_TEXT)

# How many bytes an extended length has, what reads it, and the least length that needs it (RFC
# 6455, 5.2).
_EXTENDED = {
    126: (2, struct.Struct("!H").unpack_from, 126),
    127: (8, struct.Struct("!Q").unpack_from, 1 << 16),
}


def _table(kinds: dict[int, int]) -> bytes:
    """The kind for each of 256 first bytes; all but C{kinds} are control frames or faults."""
    return bytes(kinds.get(first, _SPECIAL) for first in range(256))


_BETWEEN = _table({0x01: _FIRST_TEXT, 0x02: _FIRST, 0x81: _WHOLE_TEXT, 0x82: _WHOLE})
_INSIDE = _table({0x00: _MORE, 0x80: _LAST})


class FrameWalk:
    """
    Walks the frames of one direction of one connection, chunk by chunk.

    What it finds does not depend on how the stream was cut into chunks. After an exception out of
    the tap it must not be used again.

    @ivar remaining: bytes still to come of the frame whose header has crossed.
    @ivar begun: while C{remaining} is not 0, bytes of that frame that have crossed, its header
        included.
    @ivar told: whether a control frame or a fault was found; the owner clears it.
    @ivar controls: how many Pings and Pongs were found; the owner clears it.
    @ivar pings: payloads of the Pings, unmasked, 125 bytes at most each; the owner clears them.
    @ivar close: payload of the Close, unmasked, 0 or 2 to 125 bytes. Nothing behind it is read.
    @ivar fault: close code and reason of what is wrong. Nothing behind it is read.
    """

    _shown: tuple[int, ...] = _TEXT  # what begins a message that is shown to the tap

    def __init__(
        self, *, masked: bool, message_bytes: int, message_fragments: int, tap: Tap | None = None
    ) -> None:
        """
        @param masked: whether frames must be masked, as a client's, or must not be.
        @param message_bytes: most bytes of payload in all frames of a message; below 2**63.
        @param message_fragments: most frames of a message; at least 1.
        @param tap: is shown text messages.
        """
        self.remaining = self.begun = 0
        self.told = False
        self.controls = 0
        self.pings: list[bytes] = []
        self.close: bytes | None = None
        self.fault: tuple[int, str] | None = None
        self._mask_bit = 0x80 if masked else 0
        self._short = 6 if masked else 2  # the shortest header
        self._message_bytes = message_bytes
        self._message_fragments = message_fragments
        self._tap = tap
        self._tapping = False  # whether the message in flight is shown to the tap
        self._kinds = _BETWEEN
        self._kind = _SPECIAL  # of the frame in flight
        self._length = 0  # of its payload
        self._size = self._fragments = 0  # of the fragmented message in flight
        self._messages = self._parts = self._payload = 0  # as the headers announced them
        self._held = b""
        self._over = False

    def twin(self, tap: Tap) -> FrameWalk:
        """
        Another walk of the same stream from here on, which shows its tap all messages, binary ones
        too, but for one that is in flight.
        """
        twin = copy(self)
        twin.pings = []
        twin._tap, twin._shown, twin._tapping = tap, _ANY, False
        return twin

    @property
    def messages(self) -> int:
        """How many data messages have crossed to their last byte."""
        return self._messages - (self._kind in _FINAL and self.remaining > 0)

    @property
    def frames(self) -> int:
        """How many data frames have begun."""
        return self._messages + self._parts

    @property
    def payload(self) -> int:
        """How many bytes of data frames' payload have crossed."""
        return self._payload - self.remaining

    @property
    def whole_payload(self) -> int:
        """The same without what there is of the frame in flight."""
        return self._payload - (self._length if self.remaining else 0)

    @property
    def goes_on(self) -> bool:
        """Whether a message goes on behind the frame that crossed last, or is in flight."""
        return self._kinds is _INSIDE

    @property
    def continues(self) -> bool:
        """While C{remaining} is not 0: whether the frame in flight is a continuation."""
        return self._kind < _FIRST

    def feed(self, data: Piece) -> list[Piece]:
        """
        Take a chunk; return what crosses now, in order. Mostly this is the chunk itself.

        A data frame begins to cross when its header is whole, and goes on crossing as it comes. A
        header or control frame that is not whole is copied and held back, 130 bytes at most.
        Nothing else is copied.
        """
        if self._held or self._over:
            return self._resume(data)
        end = len(data)
        pos = self.remaining
        if pos:
            if self._tapping:
                self._show(_LAST if self._kind in _FINAL else _MORE, data, 0, pos)
            if pos >= end:
                self.remaining = pos - end
                self.begun += end
                return [data]
        # One turn of this loop a frame; a chunk holds up to 32,768. So a message that is one frame
        # costs no call and no attribute here.
        pieces: list[Piece] = []
        kinds, limit, tap = self._kinds, self._message_bytes, self._tap
        mask_bit, short = self._mask_bit, self._short
        start = begun = kind = length = messages = payload = 0
        last = end - 1
        while pos < last:  # the first two bytes of a frame are there
            kind = kinds[data[pos]]
            length = data[pos + 1] ^ mask_bit  # a wrong mask bit makes it more than 127
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
                kinds = _INSIDE if kind in _CONTINUED else _BETWEEN
            else:
                break
            payload += length
            begun, pos = pos, at + length
            if tap is not None:
                self._show(kind, data, at, pos)
        # Here, not in the loop: after an exception out of the tap, nothing of the chunk crosses.
        self._kinds, self._kind, self._length = kinds, kind, length
        self._messages += messages
        self._payload += payload
        self.begun = end - begun
        return self._cut(data, start, pos, pieces)

    def _cut(self, data: Piece, start: int, pos: int, pieces: list[Piece]) -> list[Piece]:
        """
        End a chunk of which C{data[start:pos]} is still to cross.

        @param pos: where the next frame begins, perhaps behind the chunk's end.
        """
        end = len(data)
        if pos >= end:
            self.remaining = pos - end
            if not start and end:
                return [data]
            pos = end
        else:
            self.remaining = 0
            if not self._over:
                self._held = bytes(data[pos:])
        if start < pos:
            pieces.append(memoryview(data)[start:pos])
        return pieces

    def _resume(self, data: Piece) -> list[Piece]:
        """Take a chunk while something of the one before is held back, or all is over."""
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
        """How many bytes complete the header or control frame that is held back."""
        held = self._held
        if len(held) < 2:
            return 2 - len(held)
        length = held[1] & 0x7F
        more = length if held[0] & 8 else _EXTENDED.get(length, (0,))[0]
        return max(0, self._short + more - len(held))

    def _special(self, data: Piece, pos: int, end: int) -> int:
        """
        Take the control frame at C{pos}, whose first two bytes are there, or set the fault.

        @return: where the next frame begins; C{pos} if there is none, or this one is not whole.
        """
        first, length = data[pos], data[pos + 1] ^ self._mask_bit
        opcode = first & 0x0F
        if first not in _CONTROL or length > 125 or (length == 1 and opcode == _CLOSE):
            self._fail(1002, self._wrong(first, data[pos + 1]))
            return pos
        at = pos + self._short
        after = at + length
        if after > end:
            return pos
        self.told = True
        if opcode == _CLOSE:
            self.close, self._over = self._payload_at(data, at, after), True
            return pos
        self.controls += 1
        if opcode == _PING:
            self.pings.append(self._payload_at(data, at, after))
        return after

    def _payload_at(self, data: Piece, at: int, after: int) -> bytes:
        payload = bytes(data[at:after])
        return xor(bytes(data[at - 4 : at]), payload) if payload and self._mask_bit else payload

    def _wrong(self, first: int, second: int) -> str:
        """What is wrong with a frame that begins so, and is no good control frame."""
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
        return "close payload of one byte"

    def _admits(self, kind: int, length: int) -> bool:
        """Count a fragment, or a message of one frame; L{False} if it exceeds a limit."""
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
            self._parts += kind != _LAST
        return not self._over

    def _fail(self, code: int, reason: str) -> None:
        self.fault = (code, reason)
        self.told = self._over = True

    def _show(self, kind: int, data: Piece, at: int, pos: int) -> None:
        """
        Show the tap what the chunk has of a frame, if its message is text.

        @param kind: of the frame; a continuation, if the frame began in an earlier chunk.
        @param at: where its payload begins in the chunk. It ends at C{pos}, perhaps behind the
            chunk's end.
        """
        if kind >= _FIRST:
            self._tapping = kind in self._shown
        if self._tapping and self._tap is not None:
            final = kind in _FINAL and pos <= len(data)
            self._tap(data, at, min(pos, len(data)), _OPENING[kind], final)
