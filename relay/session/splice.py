"""
The splice plane: data frames cross as the bytes they came in.

Control frames never cross. The relay's own control frames wait for the end of the frame in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.logger import Logger

from relay.config.settings import Limits
from relay.peer.control import MOST_WAITING
from relay.peer.protocol import PeerProtocol
from relay.rules.closes import Side
from relay.session.frames import FrameWalk, Piece, Tap
from relay.session.glance import Glance, Seen
from relay.session.message import MessagePlane
from relay.session.peek import Peek
from relay.telemetry.records import Traffic

_log = Logger()

WHOLE = 32768
"""
Bytes. A frame up to this size crosses only when it is whole. If the sender is lost within a frame
that has begun to cross, the receiver's connection can only be cut: it has no place for a Close.
"""


class Lane:
    """
    One direction of a session. What comes from the sender is walked and passed on to the receiver;
    the relay's own frames to the receiver go in between.

    It is the sender's L{relay.peer.interfaces.Inlet} and the receiver's
    L{relay.peer.interfaces.Outlet}.
    """

    def __init__(
        self, sender: PeerProtocol, receiver: PeerProtocol, limits: Limits, tap: Tap | None
    ) -> None:
        self.walk = FrameWalk(
            masked=sender.side == "downstream",
            message_bytes=limits.message_bytes,
            message_fragments=limits.message_fragments,
            tap=tap,
        )
        self._sender = sender
        self._keepalive = sender.keepalive
        self._receiver = receiver
        self._write = receiver.line.write
        self._metered = sender.meter is not None
        self._received = 0
        self._kept = b""
        self._crossed: tuple[int, int] | None = None
        self._waiting: list[bytes] = []
        self._broken = False
        self._watched: _Watched | None = None

    def received(self, data: bytes) -> None:
        """Pass on what came, unless the receiver is closing."""
        self._keepalive.heard = True
        try:
            self._pass_on(data)
            if self._metered:
                self._received += len(data)
                self._sender.count_data(self.walk.frames, self._received)
        except Exception:
            self.break_off()
            self._sender.line.received = _unread
            self._sender.failed()

    def watch(self, tap: Tap | None) -> None:
        """
        From the next bytes on, show C{tap} each message before it crosses; L{None} ends that. The
        messages are walked twice for it, so that nothing is slower while nobody watches.
        """
        line, before = self._sender.line, self._watched or self
        self._watched = None if tap is None else _Watched(self, tap)
        if line.received == before.received:
            line.received = (self._watched or self).received

    def begin(self) -> None:
        """The sender's bytes come here from now on."""
        if self._watched is not None:
            self._sender.line.received = self._watched.received

    @property
    def passes_on(self) -> bool:
        """Whether what comes crosses."""
        return self._receiver.state == self._receiver.STATE_OPEN

    def _pass_on(self, data: bytes | memoryview) -> None:
        if self._waiting:
            self._end_frame(memoryview(data))
            return
        walk = self.walk
        receiver = self._receiver
        if receiver.state != receiver.STATE_OPEN and self._crossed is None:
            self._crossed = self.crossed
        pieces = walk.feed(data)
        if walk.remaining or self._kept:
            pieces = self._whole_frames(pieces)
        for piece in pieces:
            if receiver.state == receiver.STATE_OPEN:
                self._write(piece)
        if walk.told:
            self._take_control()

    def _whole_frames(self, pieces: list[Piece]) -> list[Piece]:
        """Keep back a frame that is not whole, unless it is larger than L{WHOLE}."""
        walk = self.walk
        begun = walk.begun if walk.remaining and walk.begun + walk.remaining <= WHOLE else 0
        if not begun and not self._kept:
            return pieces
        ready = b"".join([self._kept, *pieces])
        whole = len(ready) - begun
        self._kept = ready[whole:]
        return [ready[:whole]] if whole else []

    def _take_control(self) -> None:
        walk = self.walk
        walk.told = False
        if walk.controls:
            controls, walk.controls = walk.controls, 0
            self._sender.count_controls(controls)
        if walk.pings:
            pings, walk.pings = walk.pings, []
            self._sender.answer_pings(pings)
        if walk.close is not None:
            code = int.from_bytes(walk.close[:2], "big") if walk.close else None
            self._sender.onCloseFrame(code, walk.close[2:])
        elif walk.fault is not None:
            self._sender.fail(*walk.fault)

    @property
    def unfinished(self) -> bool:
        """Whether the sender has begun a frame and not ended it."""
        return self.walk.remaining > 0

    @property
    def crossed(self) -> tuple[int, int]:
        """Messages, and bytes of payload, that went to the receiver before it was closing."""
        walk = self.walk
        payload = walk.whole_payload if self._kept else walk.payload
        return self._crossed or (walk.messages, payload)

    # -- the relay's own frames to the receiver --------------------------------------------

    @property
    def within(self) -> bool:
        """Whether a frame is crossing to the receiver."""
        return bool(self.walk.remaining and not self._kept)

    @property
    def amid(self) -> bool:
        """Whether a message is crossing to the receiver, in one frame or in several."""
        return self.within or (self.walk.continues if self._kept else self.walk.goes_on)

    @property
    def waiting(self) -> bool:
        """Whether frames of the relay's own wait for the end of that frame."""
        return bool(self._waiting)

    def write(self, frames: Sequence[bytes]) -> None:
        """
        Send frames of the relay's own. While another frame is crossing, they wait for its end: the
        last L{MOST_WAITING} of them. A message of the relay's own is left out where it would stand
        within another.
        """
        if not self.within:
            self._write_fitting(frames)
        elif self._broken:
            self._receiver.cut()
        else:
            self._waiting = [*self._waiting, *frames][-MOST_WAITING:]

    def _end_frame(self, data: memoryview) -> None:
        """Pass on the rest of the frame, then the frames that waited for its end."""
        remaining = self.walk.remaining
        for piece in self.walk.feed(data[:remaining]):
            self._write(piece)
        if not self.walk.remaining:
            waited, self._waiting = self._waiting, []
            self._write_fitting(waited)
            self._receiver.frame_ended()
            self._pass_on(data[remaining:])

    def _write_fitting(self, frames: Sequence[bytes]) -> None:
        """
        Send those of the relay's frames that may stand where the receiver's stream ends: between
        the frames of a message, only control frames (RFC 6455, 5.4).
        """
        walk = self.walk
        is_amid = walk.continues if self._kept else walk.goes_on
        if fitting := b"".join(frame for frame in frames if not is_amid or frame[0] & 8):
            self._write(fitting)

    def break_off(self) -> None:
        """Nothing more comes from the sender, so a frame in flight will never be whole."""
        self._broken = True
        if self._waiting:
            self._waiting = []
            self._receiver.cut()


class _Watched:
    """The inlet of a lane while somebody watches it."""

    def __init__(self, lane: Lane, tap: Tap) -> None:
        self._lane = lane
        self._tap = tap
        self._walk: FrameWalk | None = None

    def received(self, data: bytes) -> None:
        """Show what is going to cross, then pass it on. A fault in the showing ends only that."""
        try:
            self._show(data)
        except Exception:
            _log.failure("what crosses a session cannot be shown, and is shown no more")
            self._lane.watch(None)
        self._lane.received(data)

    def _show(self, data: bytes) -> None:
        if self._walk is None:  # here, because now the lane's own walk stands between two chunks
            self._walk = self._lane.walk.twin(self._tap)
        if self._lane.passes_on:
            self._walk.feed(data)
            self._walk.pings.clear()


def _unread(data: bytes) -> None:
    """
    Reads on for a lane that has failed, and drops all: where a frame begins is no longer known.
    """


class SplicePlane:
    """
    A lane each way. Both peers must have direct lines (L{relay.wire.interfaces.Line}).
    """

    name = "splice"

    def __init__(
        self, downstream: PeerProtocol, upstream: PeerProtocol, limits: Limits, peek: Peek | None
    ) -> None:
        self._peers = downstream, upstream
        self._parsed = MessagePlane(downstream, upstream, None)
        self._lanes: dict[Side, Lane] = {
            "downstream": Lane(downstream, upstream, limits, None),
            "upstream": Lane(upstream, downstream, limits, peek),
        }
        self.message = self._parsed.message

    def start(self, first: Sequence[tuple[bytes, bool]]) -> None:
        """Send the messages that Autobahn has parsed already, then splice both peers."""
        for payload, is_binary in first:
            self.message("upstream", payload, is_binary)
        downstream, upstream = self._peers
        down, up = self._lanes["upstream"], self._lanes["downstream"]
        downstream.splice(up, down)
        upstream.splice(down, up)
        up.begin()
        down.begin()

    def watch(self, seen: Seen | None) -> None:
        """Show all messages from now on, each before it crosses; L{None} ends that."""
        self._parsed.watch(seen)
        self.message = self._parsed.message
        for side, lane in self._lanes.items():
            lane.watch(None if seen is None else Glance(side, seen))

    def lost(self, side: Side) -> None:
        """The connection of this side is gone: break its lane off."""
        self._lanes[side].break_off()

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add messages and bytes that crossed, by the side they came from."""
        for side, parsed in self._parsed.sent.items():
            traffic, (messages, payload) = total[side], self._lanes[side].crossed
            traffic.messages += parsed.messages + messages
            traffic.bytes += parsed.bytes + payload
