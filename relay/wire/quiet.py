"""
How long nothing has crossed a connection, by the kernel.

Source: Linux's tcp(7), TCP_INFO, with C{linux/tcp.h}.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

_FIELDS = struct.Struct("=44xI4xI")  # tcpi_last_data_sent and tcpi_last_data_recv, in ms


def quiet_seconds(connection: Any) -> float | None:
    """
    Seconds since the last byte came or went; L{None} where the kernel does not tell.

    @param connection: a socket that is still open. Its connection may have ended.
    """
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _FIELDS.size)
        return float(min(_FIELDS.unpack(info))) / 1000
    except (AttributeError, OSError, struct.error):
        return None
