"""
Whether the other end of a connection takes what was written, and whether it has sent something,
beyond what a transport knows.

A transport's buffer is empty as soon as the kernel has the bytes, which holds megabytes; to abort
then would lose them to a slow reader. And while its buffer drains, it does not say how fast.

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
# tcpi_unacked, tcpi_bytes_acked and tcpi_notsent_bytes of Linux 4.6 and newer (linux/tcp.h).
_FIELDS = struct.Struct("=24xI92xQ16xI")
_INT = struct.Struct("=i")


def _bytes(line: Line, request: int) -> int:
    (count,) = _INT.unpack(ioctl(line.socket, request, bytes(_INT.size)))
    return int(count)


def has_arrived(line: Line) -> bool:
    """Whether the other end has sent something that nobody has read yet."""
    try:
        return _bytes(line, FIONREAD) > 0
    except (OSError, TypeError, ValueError):  # it has no socket, or none that is open
        return False


@frozen
class Written:
    """
    What became of the bytes that were written on a connection.

    @ivar waiting: those that the other end has not taken, roughly: on a Unix socket the kernel
        counts what they take up.
    @ivar acknowledged: those that it has; L{None} on a Unix socket, where nobody counts them.
    """

    waiting: int
    acknowledged: int | None

    def taken_since(self, before: Written) -> int:
        """Bytes that the other end has taken in between, roughly on a Unix socket."""
        if self.acknowledged is None or before.acknowledged is None:
            # More than before waits where a layer above has refilled what was taken.
            return abs(before.waiting - self.waiting)
        return self.acknowledged - before.acknowledged


def written(line: Line) -> Written | None:
    """What is known of it now; L{None} where the kernel does not tell."""
    try:
        if line.socket.family == socket.AF_UNIX:
            return Written(_bytes(line, TIOCOUTQ) + line.queued, None)
        info = line.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except (AttributeError, OSError, ValueError):
        return None
    unacknowledged, acknowledged, unsent = _FIELDS.unpack(info.ljust(_SIZE, b"\0"))
    return Written(unacknowledged + unsent + line.queued, acknowledged)
