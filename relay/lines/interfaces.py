"""What a line is, and who is told what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Received = Callable[[bytes], None]


class LineEnd(Protocol):
    """Who is told what a line does."""

    def blocked(self) -> None:
        """Something that was written has to wait."""

    def drained(self) -> None:
        """Nothing waits any more."""


class Line(Protocol):
    """
    The bytes of one connection.

    @ivar direct: whether the socket is used without the layers in between.
    @ivar received: what is called with bytes that came; must not raise.
    """

    direct: bool
    received: Received

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
