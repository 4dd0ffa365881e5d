"""Notices that a key of a client's is gone, and has the sessions of its subject ended."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.config.access import ClientKeys
from relay.timing.deadline import Deadline

_log = Logger()

LOOK_SECONDS = 0.5
"""Seconds between two looks at the keys. A look at a file that has not changed is one stat()."""


class Withdrawn:
    """
    Looks at the keys again and again.

    @ivar keys: the keys at this time.
    @param revoke: ends what a subject has open, and returns how much that is.
    @param tell: is told of each key that is gone, by its digest.
    """

    def __init__(
        self,
        keys: ClientKeys,
        revoke: Callable[[str], int],
        tell: Callable[[bytes], object],
        clock: IReactorTime,
    ) -> None:
        self.keys = keys
        self._revoke = revoke
        self._tell = tell
        self._next = Deadline(clock)
        self._known: dict[bytes, str] = {}

    def start(self) -> None:
        """Begin."""
        self._known = self._subjects()
        self._next.set(LOOK_SECONDS, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._next.clear()

    def _subjects(self) -> dict[bytes, str]:
        return {key.digest: key.subject for key in self.keys()}

    def _look(self) -> None:
        self._next.set(LOOK_SECONDS, self._look)
        before, self._known = self._known, self._subjects()
        for digest in before.keys() - self._known.keys():
            self._tell(digest)
        for subject in sorted({*before.values()} - {*self._known.values()}):
            text = "{subject} has no key any more; ending {count} of its sessions and holds"
            _log.info(text, subject=subject, count=self._revoke(subject))
