"""Who is told what, where more than one listens."""

from __future__ import annotations

from typing import Protocol

from twisted.python.failure import Failure

from relay.closing import Close, Side


class Outlet(Protocol):
    """
    Where a spliced peer's own frames go.

    @ivar waiting: whether some wait for the end of a frame that is crossing.
    """

    @property
    def waiting(self) -> bool: ...

    def write(self, data: bytes) -> None:
        """Send a control frame as soon as there is a place for it."""


class PeerListener(Protocol):
    """Who is told what a peer does: the attempt in the hold, the session afterwards."""

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """A whole message came."""

    def closed(self, side: Side, close: Close) -> None:
        """A Close came; the peer answers it by itself."""

    def faulted(self, side: Side, close: Close) -> None:
        """The peer broke the protocol or a limit; it is being sent C{close}."""

    def silent(self, side: Side) -> None:
        """The peer no longer answers pings; its connection is about to be aborted."""

    def stalled(self, side: Side) -> None:
        """The peer has read nothing for too long; its connection is about to be aborted."""

    def lost(self, side: Side, reason: Failure) -> None:
        """The connection is gone, however it ended. The last call."""
