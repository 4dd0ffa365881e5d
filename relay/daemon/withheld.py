"""Keys that were taken out on another relay of the fleet, and that an older file here still has."""

from __future__ import annotations

import os
from collections.abc import Sequence

from relay.config.access import ClientKey, ClientKeys


class Withheld:
    """When keys were taken out elsewhere, in seconds since 1970, by their digests."""

    def __init__(self) -> None:
        self._times: dict[bytes, float] = {}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._times

    def add(self, digest: bytes, at: float) -> None:
        """One more."""
        self._times[digest] = max(at, self._times.get(digest, at))

    def without(self, keys: ClientKeys, files: Sequence[str]) -> ClientKeys:
        """
        The keys but these. Once one of the files has changed here, its word is the later one.

        @param files: where the keys are from.
        """

        def left() -> tuple[ClientKey, ...]:
            found = keys()
            if not any(key.digest in self._times for key in found):
                return found
            changed = max(map(_changed, files), default=0.0)
            return tuple(key for key in found if self._times.get(key.digest, 0.0) <= changed)

        return left


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0  # what was read last stays in use, and is as old
