"""What is told of a watched session: each message that crosses it, and at last how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from attrs import evolve, frozen

from relay.telemetry.records import ClosedRecord

Sender = Literal["client", "upstream", "relay"]


@frozen
class Crossing:
    """
    A message that crossed.

    @ivar number: counts from 1 since somebody began to watch. Those that were missed count too.
    @ivar seconds: since the session was opened.
    @ivar sender: C{relay} for a message of the relay's own to the client.
    @ivar type: the event's type; L{None} if it has none, or it was not found where it is looked for
        (see L{relay.session.glance.type_of}).
    @ivar bytes: of its payload, all of it.
    @ivar payload: its text, without most of its audio; L{None} if nobody asked for it, and if it is
        no text.
    @ivar is_cut: whether the payload goes on behind that.
    """

    number: int
    seconds: float
    sender: Sender
    type: str | None
    bytes: int
    payload: str | None = None
    is_cut: bool = False


@frozen
class Crossings:
    """
    The messages of a tenth of a second.

    @ivar crossed: the first of them, in order.
    @ivar missed: how many more there were, which are not told.
    @ivar closed: the session's end, if it is over; then this is the last.
    """

    crossed: Sequence[Crossing]
    missed: int
    closed: ClosedRecord | None = None

    def without_payloads(self) -> Crossings:
        """The same for who must not see them."""
        return evolve(
            self, crossed=[evolve(each, payload=None, is_cut=False) for each in self.crossed]
        )


Watcher: TypeAlias = Callable[[Crossings], None]
