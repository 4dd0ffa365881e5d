"""Read a peer in turns, and no faster than the other side and the other sessions can bear."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from relay.config.settings import Limits
from relay.peer.autobahn import BareWebSocket
from relay.peer.keepalive import Keepalive
from relay.peer.meter import Meter
from relay.peer.throttle import Throttle
from relay.timing.bulkhead import bulkhead
from relay.wire.interfaces import NO_LINE, Line

STEPS_A_TURN = 256
"""Steps of Autobahn's parser for one peer in one turn; a frame takes one or two."""


class PacedWebSocket(BareWebSocket):
    """
    Autobahn's parser, fed by a line.

    @ivar line: the byte stream below the frames. It is L{NO_LINE} until the WebSocket is open, and
        L{relay.wire.interfaces.GONE} once the connection is lost.
    @ivar keepalive: watches whether the peer is there.
    @ivar meter: counts what the peer sends; L{None} if it may send what it likes.
    """

    line: Line = NO_LINE
    failed: Callable[[], None]  # the subclass knows what to do about an exception
    meter: Meter | None = None
    _fragments = _frames = _received = 0
    _paused = _parses_later = False
    _lost: Failure | None = None
    _throttle: Throttle | None = None  # most peers need none

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        super().__init__()
        self.maxMessagePayloadSize = limits.message_bytes
        self._clock = clock
        self._limits = limits
        self.keepalive = Keepalive(clock, limits.ping_seconds, limits.pong_seconds)

    # -- parsing ---------------------------------------------------------------------------

    @property
    def is_deaf(self) -> bool:
        """Whether what the peer sends is no longer read as frames."""
        return self.state == self.STATE_CLOSED

    @property
    def is_spliced(self) -> bool:
        """Whether the frames bypass Autobahn's parser."""
        return False

    @bulkhead
    def _feed(self, data: bytes) -> None:
        """Give a chunk to Autobahn's parser, without Autobahn's debug line for each chunk."""
        self.keepalive.heard = True
        self._received += len(data)
        if not self.is_deaf:
            self._dataReceived(data)

    def consumeData(self) -> None:
        """
        Parse what has come, in this peer's turn: with a thousand peers readable, all of them at
        once would take seconds.
        """
        if self._parses_later:
            self._read_or_pause()
        elif self.state not in (self.STATE_OPEN, self.STATE_CLOSING):
            super().consumeData()
        elif not self.factory.lines.parsing.do(self._parse):
            self._parses_later = True
            self._read_or_pause()

    @bulkhead
    def _parse(self) -> None:
        waited, self._parses_later = self._parses_later, False
        try:
            self._parse_some()
        finally:
            if self._lost is not None and not self._parses_later:
                self.end_of_bytes(self._lost)
            elif waited or self._parses_later:
                self._read_or_pause()

    def _parse_some(self) -> None:
        """
        At most L{STEPS_A_TURN} steps. A chunk may hold 32,768 empty frames, and all other peers
        would wait more than a second for it.
        """
        for _ in range(STEPS_A_TURN):
            if self.is_spliced:
                self._hand_on()
                return
            if self.is_deaf or not self.processData():
                return
        self._parses_later = True
        self.factory.lines.parsing.later(self._parse)

    def _hand_on(self) -> None:
        """Pass on what is not parsed: Autobahn's part ended with the frame before."""
        assert self.current_frame is None, "spliced within a frame"
        rest, self.data = self.data, b""
        self.line.received(rest)

    def onMessageFrameBegin(self, length: int) -> None:
        """Count fragments: Autobahn limits sizes only, and empty fragments cost memory too."""
        self._frames += 1
        self.count_data(self._frames, self._received)
        self._fragments += 1
        super().onMessageFrameBegin(length)
        if self._fragments > self._limits.message_fragments:
            self._fail_connection(1009, "too many fragments")

    def ended(self, reason: Failure) -> None:
        """The connection is gone: call L{end_of_bytes} when all that came is parsed."""
        self._lost = reason
        if not self._parses_later:
            self.end_of_bytes(reason)

    def end_of_bytes(self, reason: Failure) -> None:
        """The connection is gone, and all that came before is parsed."""
        self._connectionLost(reason)

    # -- pausing ---------------------------------------------------------------------------

    def limit(self, frames: float, payload: float, too_much: Callable[[], object]) -> None:
        """
        Read the peer no faster than this from now on.

        @param frames: frames a second; 0 for no limit.
        @param payload: bytes a second; 0 for no limit.
        @param too_much: called if that has to be done for too long (see L{Meter}).
        """
        if frames or payload:
            self.meter = Meter(self._clock, frames, payload, self._read_or_pause, too_much)

    def count_data(self, frames: int, received: int) -> None:
        """Count what came: frames of data and bytes, in all."""
        if self.meter is not None and self.meter.count(frames, received):
            self._read_or_pause()

    def count_controls(self, count: int) -> None:
        """Count control frames that came. A peer that floods is read more slowly."""
        if self._throttle is None:
            self._throttle = Throttle(self._clock, self._read_or_pause)
        if self._throttle.spend(count):
            self._read_or_pause()

    def pause_reading(self) -> None:
        """The other side is behind. A peer that is closing is read to its end."""
        if self.state == self.STATE_OPEN:
            self._paused = True
            self.keepalive.heard = True  # its Pongs cannot be seen from now on
            self._read_or_pause()

    def resume_reading(self) -> None:
        """The other side has caught up, or is gone."""
        if self._paused:
            self._paused = False
            self.keepalive.heard = True
            self._read_or_pause()

    @property
    def is_read(self) -> bool:
        """Whether what the peer sends is read at present."""
        throttled = self._throttle is not None and self._throttle.is_set
        metered = self.meter is not None and self.meter.is_set
        return not (self._paused or self._parses_later or throttled or metered)

    @bulkhead
    def _read_or_pause(self) -> None:
        if self.is_read:
            self.line.resume()
        else:
            self.line.pause()

    def stop_pacing(self) -> None:
        """The connection ends: stop the timers."""
        if self._throttle is not None:
            self._throttle.stop()
        if self.meter is not None:
            self.meter.stop()
