"""The message plane: what one side's protocol receives, the other's sends by C{sendMessage}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.peer.protocol import PeerProtocol
from relay.rules.closes import Side
from relay.session.peek import Peek
from relay.telemetry.records import Traffic, no_traffic


class MessagePlane:
    """Sends whole messages across, their type and order kept, and counts them."""

    name = "message"

    def __init__(self, downstream: PeerProtocol, upstream: PeerProtocol, peek: Peek | None) -> None:
        self._downstream = downstream
        self._upstream = upstream
        self._peek = peek
        self.sent = no_traffic()

    def start(self, first: Sequence[tuple[bytes, bool]]) -> None:
        """Send what upstream sent before there was a downstream."""
        for payload, is_binary in first:
            self.message("upstream", payload, is_binary)

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """Send to the other side what C{side} sent."""
        receiver = self._upstream if side == "downstream" else self._downstream
        if receiver.relay(payload, is_binary):
            traffic = self.sent[side]
            traffic.messages += 1
            traffic.bytes += len(payload)
        if side == "upstream" and self._peek is not None and not is_binary:
            self._peek.message(payload)

    def lost(self, side: Side) -> None:
        """Does nothing: only whole messages cross, so none is broken off."""

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add messages and bytes that crossed, by the side they came from."""
        for side, sent in self.sent.items():
            total[side].messages += sent.messages
            total[side].bytes += sent.bytes
