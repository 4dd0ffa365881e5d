"""
A stand-in for Autobahn's logger that is silent below error.

Autobahn logs whole request heads at debug. At info it repeats a subprotocol that was offered twice,
which may be a credential.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

_log = Logger("relay.autobahn")


class QuietLogger:
    """The methods of C{txaio}'s logger that Autobahn calls."""

    def debug(self, *args: object, **fields: object) -> None:
        """Log nothing."""

    info = warn = debug

    def error(self, format: str, **fields: Any) -> None:
        """Log one of Autobahn's errors."""
        _log.error("{text}", text=format.format(**fields))
