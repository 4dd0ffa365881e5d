"""A deadline on an injected clock that can be set, moved and cleared any number of times."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadline:
    """
    Calls something once, when it was set and the time is up.

    It holds what it calls only while it runs: who keeps what calls it back is otherwise a reference
    cycle, and waits for the garbage collector after its end.

    @param clock: the reactor, or a L{twisted.internet.task.Clock}.
    """

    __slots__ = ("_act", "_call", "_clock")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._act: Callable[[], object] | None = None
        self._call: IDelayedCall | None = None

    @property
    def is_set(self) -> bool:
        """Whether it is running."""
        return self._call is not None

    def set(self, seconds: float, act: Callable[[], object]) -> None:
        """Start it anew: C{act} is called C{seconds} from now."""
        self._act = act
        if self._call is None:
            self._call = self._clock.callLater(seconds, self._fire)
        else:
            self._call.reset(seconds)

    def clear(self) -> None:
        """Stop it, if it is running."""
        call, self._call, self._act = self._call, None, None
        if call is not None:
            call.cancel()

    def _fire(self) -> None:
        act, self._call, self._act = self._act, None, None
        if act is not None:
            act()
