"""The far ends of a session, which may do anything at all."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

from attrs import Factory, define
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Request
from websockets.utils import apply_mask

from relay.testing.sockets import Socket

Message = tuple[bool, bytes]
"""Whether it is text, and its payload."""

ALL = 1 << 30
"""Bytes."""

MASK = b"mask"

LAST_WORDS = b'{"type": "error"'
"""How the relay's own event begins, and no message of an end's."""

CLOSE_WITHIN = "incomplete fragmented message"
"""What C{websockets} says to a Close between fragments, where RFC 6455, 5.4 allows one."""


class Tls:
    """TLS at a far end, by Python's C{ssl}."""

    def __init__(self, context: ssl.SSLContext, is_server: bool) -> None:
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if is_server else "127.0.0.1"
        self._bio = context.wrap_bio(self._come, self._go, is_server, name)
        self._unsent: list[bytes] = []
        self._is_open = self._is_ended = False

    def feed(self, data: bytes) -> bytes:
        """Take what came; return what it says."""
        self._come.write(data)
        parts = []
        try:
            if not self._is_open:
                self._shake_hands()
            while part := self._bio.read(1 << 16):
                parts.append(part)
            self.end()  # nothing, and no exception: close_notify has come, and none was sent
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.end()
        return b"".join(parts)

    def _shake_hands(self) -> None:
        self._bio.do_handshake()
        self._is_open = True
        for unsent in self._unsent:
            self._bio.write(unsent)

    def write(self, data: bytes) -> None:
        """Say something, once the handshake is done, and until the end."""
        if not self._is_open:
            self._unsent.append(data)
        elif not self._is_ended:
            self._bio.write(data)

    def end(self) -> None:
        """Send close_notify."""
        if not self._is_ended:
            self._is_ended = True
            with suppress(ssl.SSLError):  # the relay's has not come
                self._bio.unwrap()

    def sent(self) -> bytes:
        """What is to be sent by now."""
        return self._go.read()


@define(eq=False)
class End:
    """
    One far end. What it says waits in C{backlog} until it is let go, in parts if need be.

    @ivar sent: the messages that the relay may pass on, in order.
    @ivar got: those that came from it.
    @ivar says_no_more: whether a Close or a fault has been said: what follows goes nowhere.
    @ivar is_close_got: whether a Close came.
    @ivar is_told: whether the relay's own event came.
    @ivar is_told_more: whether anything came behind the Close, or a message behind that event.
    @ivar reads: whether it reads whatever comes.
    @ivar mute: whether it answers neither Pings nor Closes.
    """

    socket: Socket
    sans: Any
    tls: Tls | None = None
    sent: list[Message] = Factory(list)
    got: list[Message] = Factory(list)
    backlog: bytearray = Factory(bytearray)
    says_no_more: bool = False
    is_close_got: bool = False
    is_told: bool = False
    is_told_more: bool = False
    reads: bool = True
    mute: bool = False
    _sending: list[Message] = Factory(list)
    _getting: list[Message] = Factory(list)
    is_closing: bool = False

    @property
    def is_client(self) -> bool:
        return isinstance(self.sans, ClientProtocol)

    # -- saying ----------------------------------------------------------------------------

    def put(self, data: bytes) -> None:
        """Bytes to say, below the frames."""
        if self.tls is None:
            self.backlog += data
        else:
            self.tls.write(data)
            self.backlog += self.tls.sent()

    def frame(self, opcode: int, payload: bytes, fin: bool = True, bits: int = 0) -> bytes:
        """
        A frame, valid or not.

        @param bits: the reserved ones.
        """
        masked, size = 0x80 if self.is_client else 0, len(payload)
        first = bytes([(0x80 if fin else 0) | bits | opcode])
        if size < 126:
            head = first + bytes([masked | size])
        elif size < 1 << 16:
            head = first + bytes([masked | 126]) + size.to_bytes(2, "big")
        else:
            head = first + bytes([masked | 127]) + size.to_bytes(8, "big")
        if not masked:
            return head + payload
        return head + MASK + apply_mask(payload, MASK)

    def say(self, is_text: bool, payload: bytes, fin: bool, limit: int) -> None:
        """Say a message, or a part of one that goes on."""
        opcode = Opcode.TEXT if is_text else Opcode.BINARY
        if self._sending:
            opcode, is_text = Opcode.CONT, self._sending[0][0]
        self.put(self.frame(opcode, payload, fin))
        self._sending.append((is_text, payload))
        if sum(len(part) for _, part in self._sending) > limit:
            self.says_no_more = True
        if fin:
            whole = _whole(self._sending)
            if not self.says_no_more:
                self.sent.append(whole)

    def is_within_message(self) -> bool:
        return bool(self._sending)

    def close(self, payload: bytes) -> None:
        """Say a Close."""
        self.put(self.frame(Opcode.CLOSE, payload))
        self.says_no_more = self.is_closing = True

    def end_tls(self) -> None:
        """Say that it says no more, below the frames, where that can be said."""
        if self.tls is not None:
            self.tls.end()
            self.put(b"")
            self.let_go()
            self.says_no_more = True

    def let_go(self, size: int = ALL) -> None:
        """Put so many bytes on the wire."""
        data = bytes(self.backlog[:size])
        del self.backlog[:size]
        if data:
            self.socket.deliver(data)

    def _hang_up(self) -> bool:
        """
        Close the connection: as the server behind both Closes, as the client if the relay has ended
        its half of it; return whether it did.
        """
        is_finished = self.is_close_got and self.is_closing and not self.backlog
        if self.mute or not (self.socket.is_ended if self.is_client else is_finished):
            return False
        self.socket.leave()
        return True

    def moves(self) -> bool:
        """Do what is to be done by itself; return whether there was anything."""
        has_read = self.reads and self.read()
        return self._hang_up() or has_read

    # -- reading ---------------------------------------------------------------------------

    def read(self, size: int = ALL) -> bool:
        """Read, and answer as a WebSocket should; return whether anything came."""
        data = self.socket.take(size)
        if not data:
            return False
        was_let_go = not self.backlog
        if self.tls is not None:
            plain = self.tls.feed(data)
            self.backlog += self.tls.sent()
        else:
            plain = data
        if plain:
            self.is_told_more |= self.is_close_got
            self.sans.receive_data(plain)
            self.is_close_got |= CLOSE_WITHIN in str(self.sans.parser_exc)
            self._take_events()
        if was_let_go:
            self.let_go()
        return True

    def _take_events(self) -> None:
        for event in self.sans.events_received():
            if isinstance(event, Request):
                self.sans.send_response(self.sans.accept(event))
            elif isinstance(event, Frame):
                self._take(event)
        for data in self.sans.data_to_send():
            if data and not self.mute and not self.is_closing:
                self.put(data)
        if self.is_close_got and not self.mute:
            self.is_closing = self.says_no_more = True

    def _take(self, frame: Frame) -> None:
        if frame.opcode in DATA_OPCODES:
            self._getting.append((frame.opcode is Opcode.TEXT, bytes(frame.data)))
            self.is_told_more |= self.is_told
            if frame.fin:
                whole = _whole(self._getting)
                self.is_told = whole[1].startswith(LAST_WORDS)
                self.got += [] if self.is_told else [whole]
        elif frame.opcode is Opcode.CLOSE:
            self.is_close_got = True

    @property
    def fault(self) -> Exception | None:
        """What is wrong with what the relay sent."""
        error: Exception | None = self.sans.parser_exc
        return None if CLOSE_WITHIN in str(error) else error


def _whole(parts: list[Message]) -> Message:
    message = parts[0][0], b"".join(payload for _, payload in parts)
    parts.clear()
    return message
