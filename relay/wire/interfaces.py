"""What a line is, and what it calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from relay.timing.turns import drop

Received = Callable[[bytes], None]


class LineEnd(Protocol):
    """Is told what a line does."""

    def blocked(self) -> None:
        """Something that was written has to wait."""

    def drained(self) -> None:
        """Nothing that was written waits any more."""

    def failed(self) -> None:
        """The line itself raised the exception being handled now; its connection ends."""


class Line(Protocol):
    """
    The byte stream of one open connection.

    None of its methods raises an exception. Once the connection is gone, none does anything.

    @ivar direct: whether it uses the socket without Twisted's layers in between.
    @ivar received: called with bytes that came; must not raise.
    @ivar quiet_seconds: set when the other end has ended the connection: seconds since the last
        byte came or went; L{None} if that is not known.
    @ivar socket: the connection's socket; L{None} if the transport does not show it.
    """

    direct: bool
    quiet_seconds: float | None
    received: Received
    socket: Any

    @property
    def queued(self) -> int:
        """About how many bytes were written and not yet taken by the kernel."""

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def half_close(self) -> None:
        """
        End the sending half, once all is written, and read on. Nothing is to be written after it,
        and on a direct line nothing may wait before it.
        """

    def hang_up(self) -> None:
        """End the connection once all is written."""

    def abort(self) -> None:
        """Drop the connection."""

    def release(self) -> None:
        """The connection is lost, for whatever reason."""


def in_transport(transport: Any) -> int:
    """How many bytes one of Twisted's transports holds back. It has no public name for that."""
    held = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return held + int(getattr(transport, "_tempDataLen", 0))


class _NoLine:
    """The line of a peer that is not open yet, or is gone. It does nothing."""

    direct = False
    quiet_seconds: float | None = None
    socket: Any = None
    queued = 0

    @property
    def received(self) -> Received:
        """Drops what comes."""
        return drop

    @received.setter
    def received(self, received: Received) -> None:
        """Keeps nothing, because all peers without a line share this one."""

    def write(self, data: bytes | memoryview) -> None:
        """Drops the data."""

    def pause(self) -> None:
        """Does nothing."""

    resume = half_close = hang_up = abort = release = pause


NO_LINE: Line = _NoLine()
"""Stands in for the line of a peer that is not open yet: its handshake goes by the transport."""

GONE: Line = _NoLine()
"""Stands in for the line of a peer whose connection is lost: nothing is done any more."""
