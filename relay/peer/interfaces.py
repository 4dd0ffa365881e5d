"""Who is told what, where more than one listens."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.rules.closes import Close, Side

_log = Logger()


class Inlet(Protocol):
    """
    Where the bytes that a spliced peer sends go.

    @ivar unfinished: whether it has begun a frame and not ended it.
    """

    @property
    def unfinished(self) -> bool: ...

    def received(self, data: bytes) -> None:
        """Take what came. Must not raise."""


class Outlet(Protocol):
    """
    Where a spliced peer's own frames go.

    @ivar within: whether a frame is crossing to the peer, so that its own have to wait.
    @ivar waiting: whether some wait.
    """

    @property
    def within(self) -> bool: ...

    @property
    def waiting(self) -> bool: ...

    def write(self, data: bytes) -> None:
        """Send a control frame as soon as there is a place for it."""


class PeerListener:
    """
    One that is told what a peer does: the attempt in the hold, the session afterwards. By itself it
    does nothing about it.
    """

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """A whole message came."""

    def closed(self, side: Side, close: Close) -> None:
        """A Close came; the peer answers it by itself."""

    def faulted(self, side: Side, close: Close) -> None:
        """The peer broke the protocol or a limit; it is being sent C{close}."""

    def silent(self, side: Side) -> None:
        """The peer no longer answers pings; its connection is about to be aborted."""

    def stalled(self, side: Side) -> None:
        """The peer has read too little for too long; its connection is about to be aborted."""

    def failed(self, side: Side, failure: Failure) -> None:
        """The relay itself went wrong at this peer: log it, and end what the peer is a part of."""
        _log.failure("exception at a peer that nobody listens to ({side})", failure, side=side)

    def lost(self, side: Side, reason: Failure) -> None:
        """The connection is gone, however it ended. The last call."""


NOBODY = PeerListener()
"""What a peer tells when nobody listens."""
