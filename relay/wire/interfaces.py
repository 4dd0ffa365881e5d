"""What a line is, and who is told what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from relay.timing.turns import drop

Received = Callable[[bytes], None]


class LineEnd(Protocol):
    """Who is told what a line does."""

    def blocked(self) -> None:
        """Something that was written has to wait."""

    def drained(self) -> None:
        """Nothing waits any more."""

    def failed(self) -> None:
        """The line itself raised an exception, which is at hand; its connection ends now."""


class Line(Protocol):
    """
    The bytes of one connection. None of its methods raises an exception, and once the connection
    is gone none does anything.

    @ivar direct: whether the socket is used without the layers in between.
    @ivar received: what is called with bytes that came; must not raise.
    @ivar socket: where the bytes go in the end; L{None} if it is not at hand.
    """

    direct: bool
    received: Received
    socket: Any

    @property
    def queued(self) -> int:
        """Bytes, roughly, that were written and that the kernel has not taken."""

    def write(self, data: bytes | memoryview) -> None:
        """Write, or let it wait."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def hang_up(self) -> None:
        """End the connection once all is written."""

    def abort(self) -> None:
        """Drop the connection."""

    def release(self) -> None:
        """The connection is lost, however that came about."""


def in_transport(transport: Any) -> int:
    """Bytes that one of Twisted's transports holds back: no public name tells how many."""
    held = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    return held + int(getattr(transport, "_tempDataLen", 0))


class _NoLine:
    """The line of a peer that has none yet, or none any more."""

    direct = False
    socket: Any = None
    queued = 0

    @property
    def received(self) -> Received:
        """Nobody is there to receive it."""
        return drop

    @received.setter
    def received(self, received: Received) -> None:
        """All peers without a line share this one."""

    def write(self, data: bytes | memoryview) -> None:
        """Nobody is there to read it."""

    def pause(self) -> None:
        """Nothing comes."""

    resume = hang_up = abort = release = pause


NO_LINE: Line = _NoLine()
"""What a peer has in place of a line while it has none: it does nothing."""
