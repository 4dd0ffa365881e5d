"""
How a connection ended that ended without a Close.

A page that is left sends a Close. A program that is killed, a network that fails and a proxy that
ends what is silent do not, and look alike, but for the silence before.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

LOST_BY: dict[str, str] = {
    "end": "the connection ended without a Close",
    "break": "the connection broke without a Close",
    "silence": "no answer came to a Ping",
}
"""What was seen, in words: a FIN, a reset or another error, or nothing."""

LONG = 5.0
"""
Seconds without a byte from which on a proxy may be the cause. Programs that are killed in the
middle of a talk are silent for less; proxies wait longer.
"""


@frozen
class Loss:
    """
    One such end.

    @ivar by: a key of L{LOST_BY}.
    @ivar quiet_seconds: since the last byte, of either side; L{None} if that is not known.
    """

    by: Literal["end", "break", "silence"]
    quiet_seconds: float | None = None

    def told(self) -> str:
        """In words, with what it looks like."""
        quiet = self.quiet_seconds
        after = "" if quiet is None else f", {quiet:.1f} s after the last byte"
        by_proxy = self.by != "silence" and quiet is not None and quiet >= LONG
        return f"{LOST_BY[self.by]}{after}{', as a proxy ends what is silent' * by_proxy}"
