"""A WebSocket that ends by the table of L{relay.peer.ending}, whoever begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.config.settings import Limits
from relay.peer.ending import DEAF, ENDING, Action, Happening, Phase
from relay.peer.interfaces import NOBODY, Outlet, PeerListener
from relay.peer.pacing import PacedWebSocket
from relay.peer.stall import Patience
from relay.rules.closes import FAILED, Close, Side, failing, reply
from relay.timing.bulkhead import bulkhead
from relay.wire.interfaces import NO_LINE


class ClosingWebSocket(PacedWebSocket):
    """
    Autobahn, told by the table how to end: its own closes have no deadlines.

    @ivar listener: is told what the peer does.
    """

    side: Side
    listener: PeerListener = NOBODY
    _outlet: Outlet | None = None
    _phase: Phase = "open"
    _choked = False

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        super().__init__(clock, limits)
        self._patience = Patience(clock, limits)

    # -- what happens ----------------------------------------------------------------------

    def close(self, close: Close) -> None:
        """Send a Close behind what was sent before; hang up when it is answered, or overdue."""
        self._happens("close", close)

    def cut(self) -> None:
        """End the connection without a Close, because a frame to the peer will never be whole."""
        self._happens("cut")

    @bulkhead
    def abort(self) -> None:
        """Drop the connection now."""
        self._happens("abort")

    @bulkhead
    def let_go(self) -> None:
        """
        Drop the connection; but after a fault let it end by itself, within C{linger_seconds}: a
        reset would destroy the Close that tells the peer of its fault. A peer that has sent a Close
        itself can do without the answer.
        """
        if self._phase != "failing":
            self._happens("abort")

    @property
    def is_deaf(self) -> bool:
        """Whether what the peer sends is no longer read as frames."""
        return self._phase in DEAF

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool:
        """
        Answer a Close by the close table.

        Autobahn's own method takes 1014 and 1015 for violations and reports them as a clean 1000.
        When two Closes cross, it drops what is not yet sent.
        """
        reason = _decode(reasonRaw or b"")
        if reason is None:
            self.fail(1007, "close reason is not UTF-8")
        else:
            self._happens("close received", Close(code, reason))
        return True

    def fail(self, code: int, reason: str) -> None:
        """The peer broke the protocol or a limit: close, and drop what it sends from now on."""
        self._happens("fault", failing(code, reason))

    def _fail_connection(self, code: int = 1011, reason: str = "") -> None:
        self.fail(code, reason)

    def _protocol_violation(self, reason: str) -> bool:
        self.fail(1002, reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        self.fail(1007, reason)
        return True

    def end_in_error(self) -> None:
        """The relay itself failed: close and read no more frames, or, if already ending, drop."""
        self._happens("error", FAILED)

    def frame_ended(self) -> None:
        """The frames that had to wait for the end of another frame are sent."""
        self._happens("written")

    # -- what is done about it -------------------------------------------------------------

    def _happens(self, happening: Happening, close: Close | None = None) -> None:
        self._phase, actions = ENDING[self._phase][happening]
        for action in actions:
            _DO[action](self, close)

    def _send_close(self, close: Close) -> None:
        for words in self.listener.last_words(self.side, close):
            self.say(words)
        self._write_close(close)

    def say(self, words: bytes) -> None:
        """Send a text of the relay's own."""
        # Not by sendMessage, which raises above a limit that is meant for others.
        self.sendFrame(opcode=1, payload=words)

    def _answer_close(self, close: Close) -> None:
        self._write_close(reply(close.code))

    def _write_close(self, close: Close) -> None:
        # Not by sendClose, which takes only 1000 and 3000 to 4999.
        self.sendFrame(opcode=8, payload=close.payload())
        self.state = self.STATE_CLOSING
        self._stop_watching()
        if self._choked:
            # The stall deadline starts anew: a peer that reads slowly has the full time again.
            self._patience.wait_for_reader(self.line, self._stalled)

    def _stop_watching(self) -> None:
        self.keepalive.stop()
        # A paused transport sees neither an answer nor FIN nor RST (Twisted #11168).
        self.resume_reading()

    def _linger(self, _: object) -> None:
        """Start the linger deadline, but not before the buffer is empty."""
        if not self._choked:
            self._patience.wait_for_end(self.line, self.abort)

    @property
    def _closes_first(self) -> bool:
        """
        Whether it is for the relay to end the connection, and all is written. RFC 6455, 7.1.1: the
        server closes first; as client, wait for it until the deadline.
        """
        has_more_to_say = self._choked or (self._outlet is not None and self._outlet.waiting)
        return self.factory.isServer and not has_more_to_say

    def _half_close(self, _: object) -> None:
        """
        Only a half: the client may be sending still. If the socket were closed, what comes would
        reset the connection, and the reset would destroy the Close that is under way.
        """
        if self._closes_first:
            self.line.half_close()

    def _hang_up(self, close: Close | None) -> None:
        """Both Closes are exchanged: end the connection once all is written."""
        self._linger(close)
        if self._closes_first:
            self.line.hang_up()

    def _cut_off(self, _: object) -> None:
        self.state = self.STATE_CLOSED
        self._stop_watching()
        self._patience.caught_up()
        self._patience.wait_for_end(self.line, self.abort)
        self.line.hang_up()

    def _drop(self, _: object) -> None:
        self.state = self.STATE_CLOSED
        self._stop_deadlines()
        if self.line is not NO_LINE:
            self.line.abort()
        elif self.transport is not None:
            self.transport.abortConnection()

    @bulkhead
    def _stalled(self) -> None:
        if not self._patience.still_reads(self.line, self._stalled):
            self.listener.stalled(self.side)
            self.abort()

    def _stop_deadlines(self) -> None:
        self.keepalive.stop()
        self._patience.stop()
        self.stop_pacing()

    def _tell_close(self, close: Close) -> None:
        self.listener.closed(self.side, close)

    def _tell_fault(self, close: Close) -> None:
        self.listener.faulted(self.side, close)


_DO: dict[Action, Callable[[ClosingWebSocket, Any], None]] = {
    "send_close": ClosingWebSocket._send_close,
    "answer_close": ClosingWebSocket._answer_close,
    "linger": ClosingWebSocket._linger,
    "half_close": ClosingWebSocket._half_close,
    "hang_up": ClosingWebSocket._hang_up,
    "cut_off": ClosingWebSocket._cut_off,
    "drop": ClosingWebSocket._drop,
    "tell_close": ClosingWebSocket._tell_close,
    "tell_fault": ClosingWebSocket._tell_fault,
}


def _decode(reason: bytes) -> str | None:
    try:
        return reason.decode("utf-8")
    except UnicodeDecodeError:
        return None
