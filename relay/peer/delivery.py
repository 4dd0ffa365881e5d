"""
What the kernel knows of a connection and a transport does not: whether the other end takes what was
written, and whether it has sent something.

A transport's buffer is empty as soon as the kernel has the bytes. The kernel holds megabytes, and
an abort at that moment would lose them to a slow reader. Nor does a transport tell how fast its
buffer drains.

Source: Linux's tcp(7), TCP_INFO, with C{linux/tcp.h}; unix(7), SIOCOUTQ; tcp(7), FIONREAD.
"""

from __future__ import annotations

import socket
import struct
from fcntl import ioctl
from termios import FIONREAD, TIOCOUTQ

from attrs import frozen

from relay.wire.interfaces import Line

_SIZE = 148
# tcpi_unacked, tcpi_bytes_acked, tcpi_bytes_received and tcpi_notsent_bytes of Linux 4.6 and newer
# (linux/tcp.h).
_FIELDS = struct.Struct("=24xI92xQQ8xI")
_INT = struct.Struct("=i")


def _bytes(line: Line, request: int) -> int:
    (count,) = _INT.unpack(ioctl(line.socket, request, bytes(_INT.size)))
    return int(count)


def has_arrived(line: Line) -> bool:
    """Whether the other end has sent something that is not read yet."""
    try:
        return _bytes(line, FIONREAD) > 0
    except (OSError, TypeError, ValueError):  # the line has no socket, or a closed one
        return False


def _tcp_info(line: Line) -> tuple[int, ...]:
    info = line.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    return _FIELDS.unpack(info.ljust(_SIZE, b"\0"))


def arrived(line: Line) -> int:
    """
    Bytes that the other end has sent so far; 0 on a Unix socket, where nobody counts them. With TLS
    some come long before there is anything to read: a record may have 16 KiB.
    """
    try:
        _, _, received, _ = _tcp_info(line)
    except (AttributeError, OSError, ValueError):
        return 0
    return received


@frozen
class Written:
    """
    What became of the bytes that were written on a connection.

    @ivar waiting: bytes that the other end has not taken. On a Unix socket this is rough: the
        kernel counts the memory that they take up.
    @ivar acknowledged: bytes that the other end has taken; L{None} on a Unix socket, where the
        kernel does not count them.
    """

    waiting: int
    acknowledged: int | None

    def taken_since(self, before: Written) -> int:
        """Bytes that the other end has taken since C{before}; roughly, on a Unix socket."""
        if self.acknowledged is None or before.acknowledged is None:
            # More may wait than before: a layer above refills the buffer as it empties.
            return abs(before.waiting - self.waiting)
        return self.acknowledged - before.acknowledged


def written(line: Line) -> Written | None:
    """What became of the bytes written on C{line} so far; L{None} if the kernel does not tell."""
    try:
        if line.socket.family == socket.AF_UNIX:
            return Written(_bytes(line, TIOCOUTQ) + line.queued, None)
        unacknowledged, acknowledged, _, unsent = _tcp_info(line)
    except (AttributeError, OSError, ValueError):
        return None
    return Written(unacknowledged + unsent + line.queued, acknowledged)
