"""
What the relay's two WebSocket protocols have in common: Autobahn, made safe for a relay.

Autobahn parses and writes frames. Everything it would decide by itself (how to close, when to give
up, what to log) is taken over here, since its timers ignore the injected reactor, its closes have
no deadlines and its log repeats credentials.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.closing import Close, Side, reply
from relay.interfaces import Outlet, PeerListener
from relay.keepalive import Keepalive
from relay.lines.interfaces import Line, Received
from relay.patience import Patience
from relay.settings import Limits
from relay.websocket import BareWebSocket

_log = Logger()


STEPS_A_TURN = 256
"""Steps of Autobahn's parser for one peer in one turn; a frame takes one or two."""


class PeerProtocol(BareWebSocket):
    """
    One side of a session, to be mixed in before Autobahn's own protocol class.

    @ivar listener: who is told; L{None} once the connection is gone.
    Its factory must have C{lines} (L{relay.lines.choice.Lines}).

    @ivar keepalive: watches whether the peer is there.
    @ivar source: the other side, whose reading stops while this side does not read.
    """

    side: Side
    _line: Line | None = None
    _outlet: Outlet | None = None

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        super().__init__()
        self.maxMessagePayloadSize = limits.message_bytes
        self.listener: PeerListener | None = None
        self.source: PeerProtocol | None = None
        self._clock = clock
        self._limits = limits
        self._fragments = 0
        self._choked = self._paused = self._finishing = False
        self._patience = Patience(clock, limits)
        self.keepalive = Keepalive(clock, limits.ping_seconds, limits.pong_seconds)
        self._parses_later = False

    # -- what the session asks for ---------------------------------------------------------

    def begin(self, listener: PeerListener) -> None:
        """Watch the peer, and tell C{listener} what it does."""
        self.listener = listener
        self.forget_handshake()
        self.keepalive.start(self._ping, self._gone)

    @property
    def line(self) -> Line:
        """The bytes below the frames, from when the WebSocket is open."""
        assert self._line is not None, "the WebSocket is not open yet"
        return self._line

    def splice(self, received: Received, outlet: Outlet) -> None:
        """
        Leave the frames to others: Autobahn reads none any more, and what it writes goes through
        C{outlet}. To be called between two frames.
        """
        self.line.received = received
        self._outlet = outlet

    def relay(self, payload: bytes, is_binary: bool) -> None:
        """Send a whole message, unless a Close has been sent or received."""
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, is_binary)

    def close(self, close: Close) -> None:
        """Send a Close behind what was sent before, and hang up when it is answered or late."""
        if self.state != self.STATE_OPEN:
            return
        self._send_close(close)
        self._wait_for_end()

    def abort(self) -> None:
        """Drop the connection now."""
        self.state = self.STATE_CLOSED
        if self._line is not None:
            self._line.abort()
        elif self.transport is not None:
            self.transport.abortConnection()

    def cut(self) -> None:
        """End the connection without a Close: it is within a frame that will never be whole."""
        self._finishing = True
        self.state = self.STATE_CLOSED
        self._stop_watching()
        self._patience.caught_up()
        self._patience.wait_for_end(self.transport, self.abort)
        self.line.hang_up()

    # -- what Autobahn tells ---------------------------------------------------------------

    def _onOpen(self) -> None:
        self._line = self.factory.lines.line(self.transport, self, self._take)
        super()._onOpen()

    def dataReceived(self, data: bytes) -> None:
        """By the transport: before there is a line, where it has no other, and after it."""
        received = self._take if self._line is None else self._line.received
        received(data)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write a frame of Autobahn's, or the handshake."""
        if self._outlet is not None:
            self._outlet.write(data)
        elif self._line is not None:
            self._line.write(data)
        else:
            self.transport.write(data)

    def _take(self, data: bytes) -> None:
        """Feed Autobahn, without its debug line for each chunk."""
        self.keepalive.heard = True
        if not self._deaf:
            self._parse(self._dataReceived, data)

    @property
    def _deaf(self) -> bool:
        """After a fault or a Close there are no frames any more, only bytes to drain."""
        return self.failedByMe or self._finishing

    def _parse(self, parse: Callable[..., object], *data: bytes) -> None:
        try:
            parse(*data)
        except Exception:
            self.failed()

    def consumeData(self) -> None:
        """
        Parse what has come, but only so many frames a turn: a chunk holds 32,768 empty ones, and
        the others would wait more than a second for it.
        """
        if self._parses_later:
            self._read_or_pause()
            return
        if self.state not in (self.STATE_OPEN, self.STATE_CLOSING):
            super().consumeData()
            return
        for _ in range(STEPS_A_TURN):
            if self._outlet is not None:
                self._hand_on()
                return
            if self._deaf or self.state == self.STATE_CLOSED or not self.processData():
                return
        self._parses_later = True
        self.factory.lines.parsing.later(self._parse_more)
        self._read_or_pause()

    def _hand_on(self) -> None:
        """Autobahn's turn ended with the frame before: what follows is not for it."""
        assert self.current_frame is None, "spliced within a frame"
        rest, self.data = self.data, b""
        self.line.received(rest)

    def _parse_more(self) -> None:
        self._parses_later = False
        self._parse(self.consumeData)
        self._read_or_pause()

    def onMessageFrameBegin(self, length: int) -> None:
        """Count fragments: Autobahn limits sizes only, and empty ones cost memory too."""
        self._fragments += 1
        super().onMessageFrameBegin(length)
        if self._fragments > self._limits.message_fragments and not self.failedByMe:
            self.fail(1009, "too many fragments")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message on while nobody has closed."""
        self._fragments = 0
        if self.listener is not None and self.state == self.STATE_OPEN:
            self.listener.message(self.side, payload, isBinary)

    def onPing(self, payload: bytes) -> None:
        """Answer, unless the peer does not read: a ping flood would fill the buffer."""
        if not self._choked:
            self.sendPong(payload)

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool:
        """
        Answer a Close by the close table.

        Autobahn's own takes 1014 and 1015 for violations, reports them as a clean 1000, and when
        closes cross drops what is not yet sent.
        """
        if self._finishing:
            return True
        reason = _decode(reasonRaw or b"")
        if reason is None:
            self.fail(1007, "close reason is not UTF-8")
            return True
        was_open = self.state == self.STATE_OPEN
        self._send_close(reply(code))
        self._hang_up()
        if was_open and self.listener is not None:
            self.listener.closed(self.side, Close(code, reason))
        return True

    def failed(self) -> None:
        """What this peer sent could not be dealt with; to be called with the exception at hand."""
        _log.failure("exception while reading from {side}", side=self.side)
        self.fail(1011, "internal error")

    def fail(self, code: int, reason: str) -> None:
        """The peer broke the protocol or a limit: close, and drop what else it sends."""
        if self.failedByMe:
            return
        self.failedByMe = True
        close = Close(code, f"relay: {reason}")
        self.close(close)
        if self.listener is not None:
            self.listener.faulted(self.side, close)

    def _fail_connection(self, code: int = 1011, reason: str = "") -> None:
        self.fail(code, reason)

    def _protocol_violation(self, reason: str) -> bool:
        self.fail(1002, reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        self.fail(1007, reason)
        return True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell Autobahn and the listener; nothing of this peer runs on."""
        if self._parses_later:
            self._parses_later = False
            self.factory.lines.parsing.forget(self._parse_more)
            self._parse(super().consumeData)  # what came before the end goes before it
        self.keepalive.stop()
        self._patience.stop()
        self._connectionLost(reason)
        if self._line is not None:
            self._line.release()
        self._line = self._outlet = None
        listener, self.listener, self.source = self.listener, None, None
        if listener is not None:
            listener.lost(self.side, reason)

    # -- reading and writing ---------------------------------------------------------------

    def blocked(self) -> None:
        """The peer does not read: stop the source, and give it until the stall deadline."""
        self._choked = True
        self._patience.wait_for_reader(self.transport, self._stalled)
        if self.source is not None:
            self.source.pause_reading()

    def drained(self) -> None:
        """All that was sent is written."""
        self._choked = False
        self._patience.caught_up()
        if self.source is not None:
            self.source.resume_reading()
        if self._finishing:
            self._hang_up()
        elif self.state == self.STATE_CLOSING:
            self._wait_for_end()

    def pause_reading(self) -> None:
        """The other side is behind. A peer that is closing is read to its end."""
        if self.state == self.STATE_OPEN:
            self._paused = True
            self.keepalive.heard = True  # its pongs are not seen now
            self._read_or_pause()

    def resume_reading(self) -> None:
        """The other side has caught up, or is gone."""
        if self._paused:
            self._paused = False
            self.keepalive.heard = True
            self._read_or_pause()

    def _read_or_pause(self) -> None:
        if self._paused or self._parses_later:
            self.line.pause()
        else:
            self.line.resume()

    def _stalled(self) -> None:
        is_open = self.state == self.STATE_OPEN  # else it holds up an end
        if is_open and self._patience.still_reads(self.transport, self._stalled):
            return
        if self.listener is not None:
            self.listener.stalled(self.side)
        self.abort()

    # -- closing ---------------------------------------------------------------------------

    def _send_close(self, close: Close) -> None:
        if self.state == self.STATE_OPEN:
            # Not sendClose: that takes only 1000 and 3000 to 4999.
            self.sendFrame(opcode=8, payload=close.payload())
            self.state = self.STATE_CLOSING
            self._stop_watching()
            if self._choked:
                # Who reads slowly has had a part of its time, and is no longer asked how it goes.
                self._patience.wait_for_reader(self.transport, self._stalled)

    def _stop_watching(self) -> None:
        self.keepalive.stop()
        # A paused transport sees neither an answer nor FIN nor RST (Twisted #11168).
        self.resume_reading()

    def _wait_for_end(self) -> None:
        """Start the linger deadline, but not before the buffer is empty."""
        if not self._choked:
            self._patience.wait_for_end(self.transport, self.abort)

    def _hang_up(self) -> None:
        """Both Closes are exchanged: end the connection once all is written."""
        self._finishing = True
        if self._choked:
            return
        self._patience.wait_for_end(self.transport, self.abort)
        # RFC 6455, 7.1.1: the server closes first; as client, wait for it until the deadline.
        if self.factory.isServer and not self._is_within_frame:
            self.line.hang_up()

    @property
    def _is_within_frame(self) -> bool:
        """Whether the last words have to wait."""
        return self._outlet is not None and self._outlet.waiting

    def frame_ended(self) -> None:
        """What had to wait for the end of a frame is sent."""
        if self._finishing:
            self._hang_up()

    # -- keepalive -------------------------------------------------------------------------

    def _ping(self) -> bool:
        """Also while paused, when no answer is seen: writing shows a dead connection."""
        if not self._choked:
            self.sendPing(b"relay")
        return not (self._choked or self._paused)

    def _gone(self) -> None:
        if self.listener is not None:
            self.listener.silent(self.side)
        self.abort()


def _decode(reason: bytes) -> str | None:
    try:
        return reason.decode("utf-8")
    except UnicodeDecodeError:
        return None
