"""Work that is done once for all who want it at the same time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

K = TypeVar("K")
T = TypeVar("T")


class Flights(Generic[K, T]):
    """
    Work under way, by what it is for. Who cancels leaves; when the last has left, the work is
    cancelled.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, tuple[Deferred[T], list[Deferred[T]]]] = {}

    def __len__(self) -> int:
        """How much is under way."""
        return len(self._waiting)

    def join(self, key: K, begin: Callable[[], Deferred[T]]) -> Deferred[T]:
        """
        Wait for the work.

        @param begin: begins it, unless it is under way.
        @return: fires or fails as the work does.
        """
        if key in self._waiting:
            work, waiting = self._waiting[key]
            is_new = False
        else:
            work, waiting, is_new = begin(), [], True
            self._waiting[key] = work, waiting
        waits: Deferred[T] = Deferred(partial(self._leave, key, work, waiting))
        waiting.append(waits)
        if is_new:  # only now, because the work may be done already
            work.addBoth(partial(self._done, key, waiting))
        return waits

    def _leave(
        self, key: K, work: Deferred[T], waiting: list[Deferred[T]], who: Deferred[T]
    ) -> None:
        waiting.remove(who)
        if not waiting:
            self._waiting.pop(key, None)
            work.cancel()

    def _done(self, key: K, waiting: list[Deferred[T]], result: T | Failure) -> None:
        self._waiting.pop(key, None)
        told, waiting[:] = list(waiting), []
        for each in told:
            each.errback(result) if isinstance(result, Failure) else each.callback(result)
