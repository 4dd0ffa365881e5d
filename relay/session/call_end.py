"""What stands in for the downstream of a session that is a call."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.peer.interfaces import NOBODY, PeerListener
from relay.rules.closes import Close
from relay.wire.interfaces import NO_LINE, Line

_log = Logger()


class CallEnd:
    """
    The client of a call, as far as a session has to do with it.

    Sound and events go between the client and the service, past the relay, which only hears what
    the service tells its sideband. So nothing is sent to this end, and to close it is to hang up:
    a call that the relay no longer hears could not be held to anything.

    @param hang_up: ends the call; what it returns fires when that is done, or has failed.
    """

    speaks = False
    source: object = None
    quiet_seconds: float | None = None
    line: Line = NO_LINE

    def __init__(self, hang_up: Callable[[], Deferred[None]], clock: IReactorTime) -> None:
        self._hang_up = hang_up
        self._clock = clock
        self._listener: PeerListener = NOBODY
        self._is_ending = False

    def limit(self, frames: float, payload: float, too_much: Callable[[], object]) -> None:
        """Does nothing: what the client sends goes past the relay."""

    def watch(self) -> None:
        """Does nothing: there is nobody to ping."""

    pause_reading = resume_reading = watch

    def say(self, words: bytes) -> None:
        """Does nothing: there is nobody to tell."""

    def tell(self, payload: bytes) -> bool:
        """Tells nobody."""
        return True

    def listen(self, listener: PeerListener) -> None:
        """Tell C{listener} of the end."""
        self._listener = listener

    def relay(self, payload: bytes, is_binary: bool) -> bool:
        """
        Drop a message that the relay has heard.

        @return: whether the call goes on.
        """
        return not self._is_ending

    def close(self, close: Close) -> None:
        """Hang up. The end is there when that is done."""
        if not self._is_ending:
            self._is_ending = True
            self._hang_up().addCallback(self._gone).addErrback(self._failed)

    def abort(self) -> None:
        """The end is there at once; if the call has not been hung up, that is begun."""
        if not self._is_ending:
            self._is_ending = True
            self._hang_up().addErrback(self._failed)
        self._clock.callLater(0, self._gone)

    end_in_error = abort

    def _gone(self, done: None = None) -> None:
        listener, self._listener = self._listener, NOBODY
        try:
            listener.lost("downstream", Failure(ConnectionDone()))
        except Exception:
            listener.failed("downstream", Failure())

    def _failed(self, failure: Failure) -> None:
        _log.failure("a call could not be hung up", failure)
        self._gone()
