"""
Walls between connections: an exception in one connection ends that one only.

An exception that leaves a callback goes to the caller. That may be the loop that serves all
connections. Or it may be the reactor, which logs it and leaves the failed session open.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Compartment(Protocol):
    """What a wall stands around: one connection, or the pair of a session."""

    def failed(self) -> None:
        """
        End the compartment and log why. Called while the exception is being handled; must not
        raise.
        """


C = TypeVar("C", bound=Compartment)
P = ParamSpec("P")
T = TypeVar("T")


def bulkhead(method: Callable[Concatenate[C, P], T]) -> Callable[Concatenate[C, P], T | None]:
    """
    Put a wall around a method that is called from outside: by the reactor, a line, a timer, or a
    loop over all sessions.

    If the method raises an exception, C{failed} is called and the caller gets L{None}.
    """

    @wraps(method)
    def guarded(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return method(self, *args, **kwargs)
        except Exception:
            self.failed()
            return None

    return guarded
