"""The relay's end of a connection in memory, as a kernel would show it."""

from __future__ import annotations

import errno
import socket
import struct
from itertools import count
from typing import Any

_TCP_INFO = struct.Struct("=24xI92xQ16xI")

ROOM = 65536
"""Bytes that the kernels of both ends take of what is written and not read."""


class Socket(socket.socket):
    """
    The relay's end of a connection, with the state of both ends.

    @ivar inbound: what has come and the relay has not read.
    @ivar outbound: what the relay wrote and the far end has not read.
    @ivar room: bytes of C{outbound} that the kernels take.
    """

    _numbers = count(-2, -1)  # no descriptors of the system's

    def __init__(self, room: int = ROOM) -> None:
        self.inbound = bytearray()
        self.outbound = bytearray()
        self.is_closed = False
        self.room = room
        self._number = next(self._numbers)
        self._taken = 0
        self._fin = self._dead = self._deaf = self._vanished = False
        self._is_half_closed = False
        self._error: OSError | None = None

    # -- what the relay calls --------------------------------------------------------------

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
        """An abort sets SO_LINGER, a session TCP_NODELAY: neither is seen from here."""

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """TCP_INFO: unacknowledged, acknowledged and unsent bytes."""
        return _TCP_INFO.pack(len(self.outbound), self._taken, 0)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if self.inbound:
            data = bytes(self.inbound[:size])
            del self.inbound[:size]
            return data
        self._raise_error()
        if self._fin or self._dead:
            return b""
        raise BlockingIOError(errno.EWOULDBLOCK, "nothing to read")

    def send(self, data: Any, flags: int = 0) -> int:
        self._raise_error()
        if self._dead or self._is_half_closed:
            raise BrokenPipeError(errno.EPIPE, "broken pipe")
        room = self.room - len(self.outbound)
        if room <= 0:
            raise BlockingIOError(errno.EWOULDBLOCK, "full")
        if self._deaf:
            self._die(BrokenPipeError(errno.EPIPE, "broken pipe"))
            return len(data)
        self.outbound += bytes(data[:room])
        return min(room, len(data))

    def shutdown(self, how: int) -> None:
        """The relay says that it sends no more. It never says that it reads no more."""
        self._is_half_closed = True

    def close(self) -> None:
        self.is_closed = True
        if self._vanished:
            self.outbound.clear()  # else it has arrived, and an abort does not take it back

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # else its traceback holds this frame, and the frame holds it

    def _die(self, error: OSError) -> None:
        self.outbound.clear()
        self._dead, self._error = True, error

    # -- what poll finds -------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        return bool(self.inbound or self._fin or self._dead)

    @property
    def is_writable(self) -> bool:
        return self._dead or len(self.outbound) < self.room

    @property
    def is_hung_up(self) -> bool:
        return self._dead

    # -- what the far end does -------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether the far end has seen the end of the connection, or has made it."""
        return self._dead or self._deaf or (self.is_closed and not self.outbound)

    @property
    def is_ended(self) -> bool:
        """Whether the far end has read all that the relay sends, and that there is no more."""
        return self.is_over or (self._is_half_closed and not self.outbound)

    @property
    def is_gone(self) -> bool:
        """Whether the far end can do nothing any more."""
        return self.is_over or self._vanished

    def deliver(self, data: bytes) -> None:
        """Bytes arrive."""
        if not (self._fin or self._dead or self._vanished or self.is_closed):
            self.inbound += data

    def take(self, size: int) -> bytes:
        """The far end reads."""
        if self._vanished or self._deaf:
            return b""
        data = bytes(self.outbound[:size])
        del self.outbound[:size]
        self._taken += len(data)
        return data

    def fin(self) -> None:
        """The far end sends no more, but reads."""
        if not self._vanished:
            self._fin = True

    def leave(self) -> None:
        """The far end closes: what it is sent from now on resets the connection."""
        if not (self._vanished or self._dead):
            self._fin = self._deaf = True
            self.outbound.clear()

    def reset(self) -> None:
        """The far end resets; what has come before can be read."""
        if not (self._vanished or self.is_closed or self._dead):
            self._die(ConnectionResetError(errno.ECONNRESET, "reset"))

    def vanish(self) -> None:
        """The cable is cut."""
        self._vanished = True
