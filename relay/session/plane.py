"""Which plane a session gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from relay.admission.request import Grant
from relay.config.settings import Limits
from relay.peer.protocol import PeerProtocol
from relay.rules.closes import Side
from relay.session.message import MessagePlane
from relay.session.peek import Peek
from relay.session.splice import SplicePlane
from relay.telemetry.records import Traffic


class Plane(Protocol):
    """
    How messages cross one session.

    @ivar name: for its record.
    """

    name: str

    def start(self, first: Sequence[tuple[bytes, bool]]) -> None:
        """Begin with the messages that upstream has sent already."""

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """A peer has parsed a message."""

    def lost(self, side: Side) -> None:
        """The connection of this side is gone."""

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add what crossed, by the side it came from."""


def plane_for(
    wanted: Literal["auto", "splice", "message"],
    downstream: PeerProtocol,
    upstream: PeerProtocol,
    limits: Limits,
    peek: Peek | None,
    grant: Grant,
) -> Plane:
    """
    The plane that is wanted; the message plane where bytes are not at hand as they come.

    @param grant: what this session may. Nothing in it wants to see messages yet.
    """
    if wanted != "message" and downstream.line.direct and upstream.line.direct:
        return SplicePlane(downstream, upstream, limits, peek)
    return MessagePlane(downstream, upstream, peek)
