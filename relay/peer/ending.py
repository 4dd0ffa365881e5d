"""
The end of one WebSocket connection, as a table.

Source: RFC 6455, 7.1. Its closing handshake is a Close each way; then the connection below ends.
"""

from __future__ import annotations

from typing import Literal, get_args

Phase = Literal["open", "closing", "failing", "ending", "gone"]
"""
C{open}: no Close has crossed. C{closing}: one was sent, the peer's is awaited. C{failing}: one was
sent because of a fault, and what the peer sends is not read as frames any more. C{ending}: nothing
is to be said any more, the connection below is about to end. C{gone}: it has ended, or was dropped.
"""

Happening = Literal["close", "close received", "fault", "error", "cut", "written", "abort", "lost"]
"""
C{close}: this side wants to end. C{close received}: the peer sent a Close. C{fault}: it broke the
protocol or a limit. C{error}: the relay itself went wrong here. C{cut}: the peer is within a frame
that will never be whole, so that there is no place for a Close. C{written}: what had to wait is
written. C{abort}: the connection is to be dropped. C{lost}: it is gone.
"""

Action = Literal[
    "send_close", "answer_close", "linger", "hang_up", "cut_off", "drop", "tell_close", "tell_fault"
]
"""
C{send_close} and C{answer_close}: send a Close of our own, or the answer to the peer's.
C{linger}: drop the connection at a deadline, if it has not ended by then. C{hang_up}: end it once
all is written, as the server; as the client, wait until the server does (7.1.1). C{cut_off}: end it
once all is written, on either side. C{drop}: end it now. C{tell_close} and C{tell_fault}: tell the
listener.
"""

Row = dict[Happening, tuple[Phase, tuple[Action, ...]]]

_NOTHING: Row = dict.fromkeys(get_args(Happening), ("gone", ()))

ENDING: dict[Phase, Row] = {
    "open": {
        "close": ("closing", ("send_close", "linger")),
        "close received": ("ending", ("answer_close", "hang_up", "tell_close")),
        "fault": ("failing", ("send_close", "linger", "tell_fault")),
        "error": ("failing", ("send_close", "linger")),
        "cut": ("ending", ("cut_off",)),
        "written": ("open", ()),
        "abort": ("gone", ("drop",)),
        "lost": ("gone", ()),
    },
    "closing": {
        "close": ("closing", ()),
        "close received": ("ending", ("hang_up",)),
        "fault": ("failing", ()),
        "error": ("gone", ("drop",)),
        "cut": ("ending", ("cut_off",)),
        "written": ("closing", ("linger",)),
        "abort": ("gone", ("drop",)),
        "lost": ("gone", ()),
    },
    "failing": {
        "close": ("failing", ()),
        "close received": ("failing", ()),
        "fault": ("failing", ()),
        "error": ("gone", ("drop",)),
        "cut": ("ending", ("cut_off",)),
        "written": ("failing", ("linger",)),
        "abort": ("gone", ("drop",)),
        "lost": ("gone", ()),
    },
    "ending": {
        "close": ("ending", ()),
        "close received": ("ending", ()),
        "fault": ("ending", ()),
        "error": ("gone", ("drop",)),
        "cut": ("ending", ("cut_off",)),
        "written": ("ending", ("hang_up",)),
        "abort": ("gone", ("drop",)),
        "lost": ("gone", ()),
    },
    "gone": _NOTHING,
}
"""The table: what happens in a phase leads to the next one, and to what is done, in this order."""

DEAF: frozenset[Phase] = frozenset({"failing", "ending", "gone"})
"""Phases in which nothing that comes is read as frames."""
