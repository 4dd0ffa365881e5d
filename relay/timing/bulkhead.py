"""
Walls between connections: what goes wrong in one ends that one.

An exception that leaves a callback goes to whoever called it. That may be the loop that serves all
connections, or the reactor's timers, which log it and leave the session it came from as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Compartment(Protocol):
    """What a wall stands around: one connection, or the pair of a session."""

    def failed(self) -> None:
        """End it, and log why: called with the exception at hand. Must not raise."""


C = TypeVar("C", bound=Compartment)
P = ParamSpec("P")
T = TypeVar("T")


def bulkhead(method: Callable[Concatenate[C, P], T]) -> Callable[Concatenate[C, P], T | None]:
    """
    For a method that is called from outside: by the reactor, a line, a timer, or what goes through
    all sessions. An exception out of it goes to C{failed} and no further, and the answer is
    L{None}.
    """

    @wraps(method)
    def guarded(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(self, *args, **kwargs)
        except Exception:
            self.failed()
            return None

    return guarded
