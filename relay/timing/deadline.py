"""A deadline on an injected clock that can be set, moved and cleared any number of times."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")


class Deadline:
    """
    Calls something once, when the time is up for which it was set.

    When the time is up, it lets one more turn of the reactor pass. If the whole process was stopped
    for a while, what is waited for may have come already, and a reactor calls its timers before it
    reads.

    It refers to what it calls only while it runs. Otherwise an object that has a deadline with a
    method of its own would be a reference cycle, and wait for the garbage collector.

    @param clock: the reactor, or a L{twisted.internet.task.Clock}.
    """

    __slots__ = ("_act", "_call", "_clock")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._act: Callable[[], object] | None = None
        self._call: IDelayedCall | None = None

    @property
    def is_set(self) -> bool:
        """Whether the deadline runs."""
        return self._call is not None

    def set(self, seconds: float, act: Callable[[], object]) -> None:
        """Start, or start anew: C{act} is called C{seconds} from now."""
        self._act = act
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._time_is_up if seconds else self._fire)
        else:
            self._call.reset(seconds)

    def clear(self) -> None:
        """Stop, if it runs."""
        call, self._call, self._act = self._call, None, None
        if call is not None:
            call.cancel()

    def _time_is_up(self) -> None:
        self._call = self._clock.callLater(0, self._fire)

    def _fire(self) -> None:
        act, self._call, self._act = self._act, None, None
        if act is not None:
            act()


def now(act: Callable[[], None]) -> None:
    """Do it at once."""
    act()


def limit(
    waited_for: Deferred[T],
    seconds: float,
    clock: IReactorTime,
    late: Callable[[], Exception],
    turn: Callable[[Callable[[], None]], object] = now,
) -> None:
    """
    Cancel a Deferred after C{seconds}; it then fails with what C{late} returns.

    @param turn: does a thing behind what came in time and waits for its turn, which may be what is
        waited for (L{relay.timing.turns.Turns.do}).

    L{Deferred.addTimeout} will not do: it cancels in the very turn in which the time is up (see
    L{Deadline}).
    """
    deadline, is_late = Deadline(clock), False

    def cancel() -> None:
        nonlocal is_late
        is_late = True
        waited_for.cancel()

    def done(result: T | Failure) -> T | Failure:
        deadline.clear()
        return Failure(late()) if is_late else result

    deadline.set(seconds, partial(turn, cancel))
    waited_for.addBoth(done)
