"""
What the relay's two WebSocket protocols have in common: Autobahn, made safe for a relay.

Autobahn parses and writes frames. Everything it would decide by itself (how to close, when to give
up, what to log) is taken over here, since its timers ignore the injected reactor, its closes have
no deadlines and its log repeats credentials.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.closing import Close, Side, reply
from relay.deadline import Deadline
from relay.delivery import Delivery
from relay.interfaces import PeerListener
from relay.keepalive import Keepalive
from relay.settings import Limits
from relay.websocket import BareWebSocket

_log = Logger()


STEPS_A_TURN = 512
"""Steps of Autobahn's parser in one turn of the reactor; a frame takes one or two."""


@implementer(IPushProducer)
class PeerProtocol(BareWebSocket):
    """
    One side of a session, to be mixed in before Autobahn's own protocol class.

    It is its own transport's producer: what the transport cannot write, it must not be given.

    @ivar listener: who is told; L{None} once the connection is gone.
    @ivar source: the other side, whose reading stops while this side does not read.
    """

    side: Side

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        super().__init__()
        self.maxMessagePayloadSize = limits.message_bytes
        self.listener: PeerListener | None = None
        self.source: PeerProtocol | None = None
        self._clock = clock
        self._limits = limits
        self._fragments = 0
        self._choked = self._paused = self._finishing = False
        self._stall = Deadline(clock, self._stalled)
        self._linger = Deadline(clock, self._lingered)
        self._linger_end: float | None = None
        self._delivery = Delivery()
        self._keepalive = Keepalive(
            clock, limits.ping_seconds, limits.pong_seconds, self._ping, self._gone
        )
        self._parse_on = Deadline(clock, self._parse_more)

    # -- what the session asks for ---------------------------------------------------------

    def begin(self, listener: PeerListener) -> None:
        """The WebSocket is open: watch it, and tell C{listener} what it does."""
        self.listener = listener
        # Autobahn has no backpressure by default: sendMessage never blocks.
        self.transport.registerProducer(self, True)
        self._keepalive.start()

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
        if self.transport is not None:
            self.transport.abortConnection()

    # -- what Autobahn tells ---------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Feed Autobahn, without its debug line for each chunk."""
        self._keepalive.heard()
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
            _log.failure("exception while reading from {side}", side=self.side)
            self._fail_connection(1011, "internal error")

    def consumeData(self) -> None:
        """
        Parse what has come, but only so many frames a turn: a chunk holds 32,768 empty ones, and
        the others would wait more than a second for it.
        """
        if self._parse_on.is_set:
            self._read_or_pause()
            return
        if self.state not in (self.STATE_OPEN, self.STATE_CLOSING):
            super().consumeData()
            return
        for _ in range(STEPS_A_TURN):
            if self._deaf or self.state == self.STATE_CLOSED or not self.processData():
                return
        self._parse_on.set(0)
        self._read_or_pause()

    def _parse_more(self) -> None:
        self._parse(self.consumeData)
        self._read_or_pause()

    def onMessageFrameBegin(self, length: int) -> None:
        """Count fragments: Autobahn limits sizes only, and empty ones cost memory too."""
        self._fragments += 1
        super().onMessageFrameBegin(length)
        if self._fragments > self._limits.message_fragments and not self.failedByMe:
            self._fail_connection(1009, "too many fragments")

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
        reason = _decode(reasonRaw or b"")
        if reason is None:
            self._fail_connection(1007, "close reason is not UTF-8")
            return True
        was_open = self.state == self.STATE_OPEN
        self._send_close(reply(code))
        self._hang_up()
        if was_open and self.listener is not None:
            self.listener.closed(self.side, Close(code, reason))
        return True

    def _fail_connection(self, code: int = 1011, reason: str = "") -> None:
        if self.failedByMe:
            return
        self.failedByMe = True
        close = Close(code, f"relay: {reason}")
        self.close(close)
        if self.listener is not None:
            self.listener.faulted(self.side, close)

    def _protocol_violation(self, reason: str) -> bool:
        self._fail_connection(1002, reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        self._fail_connection(1007, reason)
        return True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell Autobahn and the listener; nothing of this peer runs on."""
        if self._parse_on.is_set:
            self._parse(super().consumeData)  # what came before the end goes before it
        self._keepalive.stop()
        for deadline in (self._stall, self._linger, self._parse_on):
            deadline.clear()
        self._connectionLost(reason)  # type: ignore[arg-type]  # annotated wrongly there
        listener, self.listener, self.source = self.listener, None, None
        if listener is not None:
            listener.lost(self.side, reason)

    # -- reading and writing ---------------------------------------------------------------

    def pauseProducing(self) -> None:
        """The peer does not read: stop the source, and give it until the stall deadline."""
        if not self._choked:
            self._delivery.progressed(self.transport)  # from here on
        self._choked = True
        self._stall.set(self._limits.stall_seconds)
        if self.source is not None:
            self.source.pause_reading()

    def resumeProducing(self) -> None:
        """The transport has written all that was sent."""
        self._choked = False
        self._stall.clear()
        # TLS that its peer has ended meanwhile waits for its producer, for ever.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)
        if self.source is not None:
            self.source.resume_reading()
        if self._finishing:
            self._hang_up()
        elif self.state == self.STATE_CLOSING:
            self._wait_for_end()

    def stopProducing(self) -> None:
        """The connection is lost; C{connectionLost} says so too."""

    def pause_reading(self) -> None:
        """The other side is behind. A peer that is closing is read to its end."""
        if self.state == self.STATE_OPEN:
            self._paused = True
            self._keepalive.heard()  # its pongs are not seen now
            self._read_or_pause()

    def resume_reading(self) -> None:
        """The other side has caught up, or is gone."""
        if self._paused:
            self._paused = False
            self._keepalive.heard()
            self._read_or_pause()

    def _read_or_pause(self) -> None:
        if self._paused or self._parse_on.is_set:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _stalled(self) -> None:
        # A slow reader of a large message is no stalled one, unless it holds up an end.
        if self.state == self.STATE_OPEN and self._delivery.progressed(self.transport):
            self._stall.set(self._limits.stall_seconds)
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
            self._keepalive.stop()
            # A paused transport sees neither an answer nor FIN nor RST (Twisted #11168).
            self.resume_reading()

    def _wait_for_end(self) -> None:
        """Start the linger deadline, but not before the buffer is empty."""
        if not self._choked:
            self._start_linger()

    def _start_linger(self) -> None:
        if self._linger_end is None:
            self._linger_end = self._clock.seconds() + self._limits.stall_seconds
            self._delivery.progressed(self.transport)  # from here on
        self._linger.set(self._limits.linger_seconds)

    def _lingered(self) -> None:
        """Who goes on reading what waits in the kernel gets it, for as long as a stall may last."""
        assert self._linger_end is not None, "set with the deadline"
        reads = self._delivery.progressed(self.transport)
        if reads and self._clock.seconds() < self._linger_end:
            self._linger.set(self._limits.linger_seconds)
        else:
            self.abort()

    def _hang_up(self) -> None:
        """Both Closes are exchanged: end the connection once all is written."""
        self._finishing = True
        if self._choked:
            return
        self._start_linger()
        # RFC 6455, 7.1.1: the server closes first; as client, wait for it until the deadline.
        if self.factory.isServer:
            # With a producer registered, loseConnection waits for it.
            self.transport.unregisterProducer()
            self.transport.loseConnection()

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
