"""Whose secrets are no longer good: what a relay cannot take back, it has to remember."""

from __future__ import annotations

REMEMBERED = 7_200.0 + 60
"""
Seconds that a revocation matters: longer than any ephemeral secret is valid, by which time all that
were minted before it have expired; and what two clocks may differ by.
"""


class Revoked:
    """When each subject was revoked. All times are seconds since 1970."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}

    def add(self, subject: str, at: float) -> None:
        """One that was revoked. An earlier time than is known changes nothing."""
        before = self._times.pop(subject, at)
        self._times[subject] = max(at, before)  # behind all others, so that the first are oldest
        while self._times:
            first = next(iter(self._times))
            if self._times[first] > at - REMEMBERED:
                break
            del self._times[first]

    def bars(self, subject: str | None, minted: float) -> bool:
        """Whether a secret of this subject, minted then, is no longer good."""
        at = None if subject is None else self._times.get(subject)
        return at is not None and minted <= at
