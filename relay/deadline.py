"""A deadline on an injected clock that can be set, moved and cleared any number of times."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any
from weakref import ref

from twisted.internet.interfaces import IDelayedCall, IReactorTime


def weakly(act: Callable[[], Any]) -> Callable[[], Any]:
    """
    The same, but not keeping the object alive whose method it is, and doing nothing without it.

    Who keeps what calls back is otherwise a reference cycle, and waits for the garbage collector
    after its end.
    """
    if not isinstance(act, MethodType):
        return act
    owner, method = ref(act.__self__), act.__func__

    def call() -> Any:
        alive = owner()
        return None if alive is None else method(alive)

    return call


class Deadline:
    """
    Calls C{act} once, when it was set and the time is up.

    @param clock: the reactor, or a L{twisted.internet.task.Clock}.
    @param act: held L{weakly}: a deadline does not keep its owner.
    """

    __slots__ = ("_act", "_call", "_clock")

    def __init__(self, clock: IReactorTime, act: Callable[[], object]) -> None:
        self._clock = clock
        self._act = weakly(act)
        self._call: IDelayedCall | None = None

    @property
    def is_set(self) -> bool:
        """Whether it is running."""
        return self._call is not None

    def set(self, seconds: float) -> None:
        """Start it anew; C{seconds} from now."""
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._fire)
        else:
            self._call.reset(seconds)

    def clear(self) -> None:
        """Stop it, if it is running."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _fire(self) -> None:
        self._call = None
        self._act()
