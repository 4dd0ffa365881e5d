"""
The splice plane: data frames cross as the bytes they came in.

Control frames never cross. Those of the relay wait for the end of the frame in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.config.settings import Limits
from relay.peer.protocol import PeerProtocol
from relay.rules.closes import Side
from relay.session.frames import FrameWalk, Piece, Tap
from relay.session.message import MessagePlane
from relay.session.peek import Peek
from relay.telemetry.records import Traffic

WHOLE = 32768
"""
Bytes of a frame that crosses only when it is whole. If the sender is lost within a frame that has
begun to cross, the receiver's connection can only be cut: it has no place for a Close.
"""


class Lane:
    """
    One direction: what comes from the sender is walked and passed on to the receiver, and the
    relay's own frames to the receiver go in between. The sender's L{relay.peer.interfaces.Inlet},
    and the receiver's L{relay.peer.interfaces.Outlet}.
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
        self._kept = b""
        self._waiting: dict[int, bytes] = {}  # one frame of each kind, by its first byte
        self._broken = False

    def received(self, data: bytes) -> None:
        """Pass on what came, unless the receiver is closing."""
        self._keepalive.heard = True
        try:
            self._pass_on(data)
        except Exception:
            self.break_off()
            self._sender.line.received = _unread
            self._sender.failed()

    def _pass_on(self, data: bytes | memoryview) -> None:
        if self._waiting:
            self._end_frame(memoryview(data))
            return
        walk = self.walk
        receiver = self._receiver
        pieces = walk.feed(data)
        if walk.left or self._kept:
            pieces = self._whole_frames(pieces)
        for piece in pieces:
            if receiver.state == receiver.STATE_OPEN:
                self._write(piece)
        if walk.told:
            self._take_control()

    def _whole_frames(self, pieces: list[Piece]) -> list[Piece]:
        """Keep a frame back until it is whole, but not a large one."""
        walk = self.walk
        begun = walk.begun if walk.left and walk.begun + walk.left <= WHOLE else 0
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
        if walk.ping is not None:
            payload, walk.ping = walk.ping, None
            self._sender.answer_ping(payload)
        if walk.close is not None:
            code = int.from_bytes(walk.close[:2], "big") if walk.close else None
            self._sender.onCloseFrame(code, walk.close[2:])
        elif walk.fault is not None:
            self._sender.fail(*walk.fault)

    @property
    def unfinished(self) -> bool:
        """Whether the sender has begun a frame and not ended it."""
        return self.walk.left > 0

    # -- the relay's own frames to the receiver --------------------------------------------

    @property
    def within(self) -> bool:
        """Whether a frame is crossing to the receiver."""
        return bool(self.walk.left and not self._kept)

    @property
    def waiting(self) -> bool:
        """Whether some of the relay's own wait for its end."""
        return bool(self._waiting)

    def write(self, data: bytes) -> None:
        """
        Send one; within a frame, behind it. Of Pings and of Pongs only the last one waits, which is
        all that has to be answered (RFC 6455, 5.5.3).
        """
        if not self.within:
            self._write(data)
        elif self._broken:
            self._receiver.cut()
        else:
            self._waiting.pop(data[0], None)
            self._waiting[data[0]] = data

    def _end_frame(self, data: memoryview) -> None:
        """Pass on the rest of the frame, then what waited for its end."""
        left = self.walk.left
        for piece in self.walk.feed(data[:left]):
            self._write(piece)
        if not self.walk.left:
            waited, self._waiting = b"".join(self._waiting.values()), {}
            self._write(waited)
            self._receiver.frame_ended()
            self._pass_on(data[left:])

    def break_off(self) -> None:
        """No more comes from the sender: a frame in flight will never be whole."""
        self._broken = True
        if self._waiting:
            self._waiting = {}
            self._receiver.cut()


def _unread(data: bytes) -> None:
    """For a lane that has failed: where a frame begins is not known any more."""


class SplicePlane:
    """
    A lane each way. Both peers must have lines that are direct (L{relay.wire.interfaces.Line}).
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
        """Send what Autobahn has parsed already, then take the frames out of its hands."""
        for payload, is_binary in first:
            self.message("upstream", payload, is_binary)
        downstream, upstream = self._peers
        down, up = self._lanes["upstream"], self._lanes["downstream"]
        downstream.splice(up, down)
        upstream.splice(down, up)

    def lost(self, side: Side) -> None:
        """Nothing more comes from this side."""
        self._lanes[side].break_off()

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add what crossed, by the side it came from."""
        for side, parsed in self._parsed.sent.items():
            traffic, walk = total[side], self._lanes[side].walk
            traffic.messages += parsed.messages + walk.messages
            traffic.bytes += parsed.bytes + walk.payload
