"""The message plane: what one side's protocol receives, the other's sends by C{sendMessage}."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from relay.peer.interfaces import Downstream
from relay.rules.closes import Side
from relay.session.glance import SENDERS, Seen
from relay.session.peek import Peek
from relay.telemetry.records import Traffic, no_traffic

Cross: TypeAlias = Callable[[Side, bytes, bool], None]


class MessagePlane:
    """Sends whole messages across, their type and order kept, and counts them."""

    name = "message"

    def __init__(self, downstream: Downstream, upstream: Downstream, peek: Peek | None) -> None:
        self._downstream = downstream
        self._upstream = upstream
        self._peek = peek
        self.sent = no_traffic()

    def start(self, first: Sequence[tuple[bytes, bool]]) -> None:
        """Send what upstream sent before there was a downstream."""
        for payload, is_binary in first:
            self.message("upstream", payload, is_binary)

    def cross(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """Send to the other side what C{side} sent."""
        receiver = self._upstream if side == "downstream" else self._downstream
        if receiver.relay(payload, is_binary):
            traffic = self.sent[side]
            traffic.messages += 1
            traffic.bytes += len(payload)
        if side == "upstream" and self._peek is not None and not is_binary:
            self._peek.message(payload)

    message = cross

    def watch(self, seen: Seen | None) -> None:
        """Show each message from now on, before it crosses; L{None} ends that."""
        if seen is None:
            del self.message
        else:
            cross = self._shown("upstream", self.cross, seen)
            self.message = self._shown("downstream", cross, seen)  # type: ignore[assignment, method-assign]

    def _shown(self, side: Side, cross: Cross, seen: Seen) -> Cross:
        """C{cross}, before which messages of C{side} are shown."""

        def shown(sender: Side, payload: bytes, is_binary: bool) -> None:
            if sender == side:
                seen(SENDERS[side], payload[: seen.most], len(payload), is_binary)
            cross(sender, payload, is_binary)

        return shown

    def lost(self, side: Side) -> None:
        """Does nothing: only whole messages cross, so none is broken off."""

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add messages and bytes that crossed, by the side they came from."""
        for side, sent in self.sent.items():
            total[side].messages += sent.messages
            total[side].bytes += sent.bytes
