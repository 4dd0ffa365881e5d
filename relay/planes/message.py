"""The message plane: what one protocol receives, the other sends by C{sendMessage}."""

from __future__ import annotations

from attrs import define, field

from relay.closing import Side
from relay.peer import PeerProtocol
from relay.records import Traffic


@define(eq=False)
class MessagePlane:
    """
    Crosses whole messages, type and order kept, and counts them.

    @ivar sent: what crossed, by the side it came from.
    """

    downstream: PeerProtocol
    upstream: PeerProtocol
    sent: dict[Side, Traffic] = field(
        factory=lambda: {"downstream": Traffic(), "upstream": Traffic()}
    )

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """Send to the other side what C{side} sent."""
        traffic = self.sent[side]
        traffic.messages += 1
        traffic.bytes += len(payload)
        receiver = self.upstream if side == "downstream" else self.downstream
        receiver.relay(payload, is_binary)
