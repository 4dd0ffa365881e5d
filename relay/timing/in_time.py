"""An answer that is waited for only so long, though it may come later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from relay.timing.deadline import Deadline

T = TypeVar("T")


def in_time(
    work: Deferred[T], seconds: float, clock: IReactorTime, late: Callable[[], Exception]
) -> Deferred[T]:
    """
    What C{work} comes to, if it does so within C{seconds}; else it fails with what C{late} returns.
    The work goes on, also if the result is cancelled: what was asked cannot be taken back.
    """
    answer: Deferred[T] = Deferred()
    deadline = Deadline(clock)

    def time_is_up() -> None:
        error = late()
        if not answer.called:
            answer.errback(error)

    def came(result: T | Failure) -> None:
        deadline.clear()
        if not answer.called:
            answer.callback(result)

    deadline.set(seconds, time_is_up)
    work.addBoth(came)
    return answer
