"""
The end of one WebSocket connection, as a table.

In the closing handshake each side sends a Close; then the connection below ends.

Source: RFC 6455, 7.1.
"""

from __future__ import annotations

from typing import Literal, get_args

Phase = Literal["open", "closing", "failing", "ending", "gone"]
"""
C{open}: no Close was sent or received. C{closing}: a Close was sent, the peer's is awaited.
C{failing}: a Close was sent because of a fault, and what the peer sends is no longer read as
frames. C{ending}: nothing more is to be sent, and the connection below is about to end. C{gone}:
the connection has ended, or was dropped.
"""

Happening = Literal["close", "close received", "fault", "error", "cut", "written", "abort", "lost"]
"""
C{close}: the relay wants to end the connection. C{close received}: the peer sent a Close.
C{fault}: the peer broke the protocol or a limit. C{error}: the relay itself failed at this peer.
C{cut}: a frame to the peer will never be whole, so that a Close has no place behind it.
C{written}: all that had to wait is written. C{abort}: the connection is to be dropped. C{lost}: the
connection is gone.
"""

Action = Literal[
    "send_close",
    "answer_close",
    "linger",
    "half_close",
    "hang_up",
    "cut_off",
    "drop",
    "tell_close",
    "tell_fault",
]
"""
C{send_close}: send a Close of the relay's own. C{answer_close}: answer the peer's Close.
C{linger}: drop the connection at a deadline, unless it ends before. C{half_close}: as the server,
end the sending half once all is written, and read on until the client ends too; as the client, wait
until the server ends the connection (7.1.1). C{hang_up}: as the server, end the connection once all
is written; as the client, wait likewise.
C{cut_off}: end the connection once all is written, as either. C{drop}: end it now. C{tell_close}
and C{tell_fault}: tell the listener.
"""

Row = dict[Happening, tuple[Phase, tuple[Action, ...]]]

_NOTHING: Row = dict.fromkeys(get_args(Happening), ("gone", ()))

ENDING: dict[Phase, Row] = {
    "open": {
        "close": ("closing", ("send_close", "linger")),
        "close received": ("ending", ("answer_close", "hang_up", "tell_close")),
        "fault": ("failing", ("send_close", "linger", "half_close", "tell_fault")),
        "error": ("failing", ("send_close", "linger", "half_close")),
        "cut": ("ending", ("cut_off",)),
        "written": ("open", ()),
        "abort": ("gone", ("drop",)),
        "lost": ("gone", ()),
    },
    "closing": {
        "close": ("closing", ()),
        "close received": ("ending", ("hang_up",)),
        "fault": ("failing", ("half_close",)),
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
        "written": ("failing", ("linger", "half_close")),
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
"""The table: for a phase and what happens in it, the next phase and the actions, in order."""

DEAF: frozenset[Phase] = frozenset({"failing", "ending", "gone"})
"""Phases in which nothing that the peer sends is read as frames."""
