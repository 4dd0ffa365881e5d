"""
Whether the other end takes what was written, beyond what a transport knows.

A transport's buffer is empty as soon as the kernel has the bytes, which holds megabytes; to abort
then would lose them to a slow reader. And while its buffer drains, it does not say how fast.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

_SIZE = 148
# tcpi_unacked, tcpi_bytes_acked and tcpi_notsent_bytes of Linux 4.6 and newer (linux/tcp.h).
_FIELDS = struct.Struct("=24xI92xQ16xI")


def _tcp_info(transport: Any) -> tuple[int, int]:
    """Bytes acknowledged so far, and those that still wait; zeros where the kernel is silent."""
    try:
        info = transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except (AttributeError, OSError):
        return 0, 0
    unacknowledged, acknowledged, unsent = _FIELDS.unpack(info.ljust(_SIZE, b"\0"))
    return acknowledged, unacknowledged + unsent


class Delivery:
    """
    Follows what one transport's other end acknowledges.

    Not for another system than Linux, nor for another transport than TCP and TLS over it: there,
    nothing ever progresses.
    """

    def __init__(self) -> None:
        self._acknowledged = 0

    def progressed(self, transport: Any) -> bool:
        """Whether bytes wait, and some have been acknowledged since this was last asked."""
        before = self._acknowledged
        self._acknowledged, waiting = _tcp_info(transport)
        return waiting > 0 and self._acknowledged > before
