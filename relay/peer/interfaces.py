"""What a peer calls: its listener, and the two ends of a spliced lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.rules.closes import Close, Side
from relay.wire.interfaces import Line

_log = Logger()


class Inlet(Protocol):
    """
    Where the bytes go that a spliced peer sends.

    @ivar unfinished: whether the peer has begun a frame and not ended it.
    """

    @property
    def unfinished(self) -> bool: ...

    def received(self, data: bytes) -> None:
        """Take bytes that the peer sent. Must not raise."""


class Outlet(Protocol):
    """
    Where the frames go that the relay itself sends to a spliced peer: Pings, Pongs, the Close, and
    messages of its own.

    @ivar within: whether a frame is crossing to the peer, so that these frames have to wait.
    @ivar amid: whether a message is, so that no other can stand there.
    @ivar waiting: whether some of them wait.
    """

    @property
    def within(self) -> bool: ...

    @property
    def amid(self) -> bool: ...

    @property
    def waiting(self) -> bool: ...

    def write(self, frames: Sequence[bytes]) -> None:
        """Send frames as soon as there is a place for them."""


class Downstream(Protocol):
    """
    What a session has at its client's side: a peer, or what stands in for one.

    @ivar speaks: whether what the client says comes this way.
    @ivar source: the other side of the session. It is not read while this one does not read.
    """

    speaks: bool
    source: Any
    quiet_seconds: float | None
    line: Line

    def limit(self, frames: float, payload: float, too_much: Callable[[], object]) -> None:
        """Read it no faster than this."""

    def listen(self, listener: PeerListener) -> None:
        """Tell C{listener} what it does."""

    def watch(self) -> None:
        """It is open: see whether it stays."""

    def relay(self, payload: bytes, is_binary: bool) -> bool:
        """Send a message of the other side's; return whether it was sent."""

    def tell(self, payload: bytes) -> bool:
        """Send a text of the relay's own; return whether it was sent."""

    def say(self, words: bytes) -> None:
        """Send a text of the relay's own, wherever it stands."""

    def pause_reading(self) -> None:
        """The other side is behind."""

    def resume_reading(self) -> None:
        """The other side has caught up."""

    def close(self, close: Close) -> None:
        """End it with this Close."""

    def end_in_error(self) -> None:
        """Read no more of it."""

    def abort(self) -> None:
        """Drop it."""


class PeerListener:
    """
    Is told what a peer does: during the hold it is the attempt, afterwards the session.

    The methods here do nothing, except for L{failed}, which logs.
    """

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """A whole message came."""

    def closed(self, side: Side, close: Close) -> None:
        """A Close came. The peer protocol answers it by itself."""

    def faulted(self, side: Side, close: Close) -> None:
        """The peer broke the protocol or a limit; C{close} is being sent to it."""

    def last_words(self, side: Side, close: Close) -> Sequence[bytes]:
        """
        A Close of the relay's own is about to be sent to the peer.

        @return: texts to send before it, if they can stand there.
        """
        return ()

    def silent(self, side: Side) -> None:
        """The peer no longer answers pings; its connection is about to be aborted."""

    def stalled(self, side: Side) -> None:
        """The peer has read too little for too long; its connection is about to be aborted."""

    def failed(self, side: Side, failure: Failure) -> None:
        """The relay itself failed at this peer: log it, and end what the peer is a part of."""
        _log.failure("exception at a peer that nobody listens to ({side})", failure, side=side)

    def lost(self, side: Side, reason: Failure) -> None:
        """The connection is gone, however it ended. The last call."""


NOBODY = PeerListener()
"""The listener of a peer that has no other."""
