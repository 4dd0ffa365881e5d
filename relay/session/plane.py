"""Which plane a session gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from relay.config.settings import Limits
from relay.peer.interfaces import Downstream
from relay.peer.protocol import PeerProtocol
from relay.rules.closes import Side
from relay.session.checked import CheckedPlane
from relay.session.glance import Seen
from relay.session.message import MessagePlane
from relay.session.peek import Peek
from relay.session.splice import SplicePlane
from relay.telemetry.records import Traffic


class Plane(Protocol):
    """
    How messages cross one session.

    @ivar name: as the session's record has it.
    """

    name: str

    def start(self, first: Sequence[tuple[bytes, bool]]) -> None:
        """Begin; C{first} are the messages that upstream has sent already."""

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """A peer has parsed a message."""

    def watch(self, seen: Seen | None) -> None:
        """
        Show all messages from now on, each before it crosses; L{None} ends that. While it is shown,
        C{message} is another method.
        """

    def lost(self, side: Side) -> None:
        """The connection of this side is gone."""

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add messages and bytes that crossed, by the side they came from."""


def plane_for(
    wanted: Literal["auto", "splice", "message"],
    downstream: Downstream,
    upstream: PeerProtocol,
    limits: Limits,
    peek: Peek | None,
    checked: Callable[[], CheckedPlane] | None,
) -> Plane:
    """
    The plane for a session: the one that is wanted, or the message plane if a line is not direct
    (see L{relay.wire.interfaces.Line}).

    @param checked: makes the plane of a session with a policy; L{None} for a session without one.
    """
    if checked is not None:
        return checked()
    if wanted != "message" and downstream.line.direct and upstream.line.direct:
        assert isinstance(downstream, PeerProtocol), "nothing else has a direct line"
        return SplicePlane(downstream, upstream, limits, peek)
    return MessagePlane(downstream, upstream, peek)
