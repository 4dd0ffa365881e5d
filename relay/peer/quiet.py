"""
Stands in for Autobahn's logger: silent below error.

Autobahn prints whole heads at debug and repeats a doubled credential subprotocol at info.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

_log = Logger("relay.autobahn")


class QuietLogger:
    """The methods of C{txaio}'s logger that Autobahn calls."""

    def debug(self, *args: object, **fields: object) -> None:
        """Say nothing."""

    info = warn = debug

    def error(self, format: str, **fields: Any) -> None:
        """Log an error of Autobahn's."""
        _log.error("{text}", text=format.format(**fields))
