"""What a session ends of. The first cause counts, because later ones follow from it."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define

from relay.rules import closes
from relay.rules.budgets import BudgetName
from relay.rules.closes import Side
from relay.rules.losses import Loss


def _nothing() -> None:
    """Stands in for who was told."""


@define(eq=False)
class Ending:
    """
    How one session's end began.

    @ivar has_begun: whether it has.
    @ivar code: the close code of the first cause, if it has one.
    @ivar by: where that cause lay: a side, or the relay.
    @ivar was_done: whether the client had what it wanted, by its Close.
    @ivar loss: how a connection ended without a Close, if that was the first cause.
    @ivar stalled: the side that was first found not to read.
    @ivar budget: what was used up, if the session ends of that.
    @param begins: is told of the first cause.
    @param client: the side whose Close tells whether the client had what it wanted.
    """

    _begins: Callable[[], None]
    _client: Side = "downstream"
    has_begun: bool = False
    code: int | None = None
    by: str = "relay"
    was_done: bool = False
    loss: Loss | None = None
    stalled: Side | None = None
    budget: BudgetName | None = None

    def because(self, code: int | None, by: str) -> None:
        """A cause."""
        if not self.has_begun:
            self.has_begun, self.code, self.by = True, code, by
            begins, self._begins = self._begins, _nothing
            begins()  # it is not kept, because it refers to the session

    def closed(self, code: int | None, side: Side) -> None:
        """A Close of this side."""
        if not self.has_begun and side == self._client:
            self.was_done = code in closes.DONE
        self.because(code, side)

    def lost(self, code: int | None, side: Side, loss: Loss) -> None:
        """The end of this side's connection without a Close."""
        if not self.has_begun:
            self.loss = loss
        self.because(code, side)
