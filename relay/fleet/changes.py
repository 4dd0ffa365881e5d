"""One line in the log for each change of how the store stands."""

from __future__ import annotations

from twisted.logger import Logger

from relay.config.fleet_table import FleetTable

_log = Logger()

MODES = {
    "closed": "new sessions are refused",
    "open": "this relay counts by itself",
    "local": "this relay counts by itself, with the limits divided by {relays}",
}


class Changes:
    """Tells them, with what is done meanwhile."""

    def __init__(self, table: FleetTable) -> None:
        self._relays = table.relays
        self._mode = MODES[table.mode]

    def away(self, why: str) -> None:
        """The store does not decide any more."""
        text = "the fleet's store is away ({why}); until it is back, " + self._mode
        _log.error(text, why=why, relays=self._relays)

    def settling(self) -> None:
        """The store answers, and may not know of all sessions."""
        text = "the fleet's store waits until {relays} relays have told it of their sessions; "
        _log.warn(text + "until then, " + self._mode, relays=self._relays)

    def up(self, alive: int, seconds: float) -> None:
        """
        The store decides.

        @param alive: for how many relays.
        @param seconds: how long it was not so.
        """
        text = "the fleet's store counts for {alive} relays, after {seconds:.1f} s without it"
        _log.info(text, alive=alive, seconds=seconds)
