"""What the client of a session is told before its Close."""

from __future__ import annotations

from attrs import define

from relay.rules import closes
from relay.rules.budgets import BudgetName
from relay.rules.closes import Close
from relay.session.notices import Notices
from relay.session.tally import Tally


@define(eq=False)
class LastWords:
    """
    Words for one session: most SDKs show an C{error} event and hide a Close.

    @param request_id: the session's, which stands in its events.
    @param tells: whether an C{error} event is told at all.
    @param notices: of a client that asked for them.
    @param tally: knows whether upstream itself has just explained its end.
    """

    _request_id: str
    _tells: bool
    _notices: Notices | None
    _tally: Tally

    def before(self, close: Close, budget: BudgetName | None, now: float) -> list[bytes]:
        """
        The events, in order.

        @param budget: what was used up, if the session ends of that.
        @param now: by the session's clock.
        """
        notice = self._notices.of_budget(budget) if self._notices and budget else None
        return [each for each in (notice, self._error(close, now)) if each is not None]

    def _error(self, close: Close, now: float) -> bytes | None:
        if not self._tells:
            return None
        if close.ending == "upstream_closed" and self._tally.explains(now):
            return None
        return closes.last_words(close, self._request_id)
