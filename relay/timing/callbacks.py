"""Await what an embedder's callback answers, whatever its Deferred makes of being cancelled."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Abandoned(Exception):
    """The callback's own work was cancelled, and not by the relay."""


async def answer_of(answer: T | Awaitable[T]) -> T:
    """
    The answer itself, or what it comes to.

    Cancelling ends the wait at once, even where the callback's Deferred swallows it or answers all
    the same: who is gone must not be dialled for.

    @raise Abandoned: if it was cancelled from its own side, so that this is not taken for ours.
    """
    if not inspect.isawaitable(answer):
        return answer
    return await _detached(Deferred.fromCoroutine(_awaited(answer)))


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


def _detached(work: Deferred[T]) -> Deferred[T]:
    waiting: Deferred[T] = Deferred()  # without a canceller: cancelling fires it at once

    def pass_on(result: Any) -> None:
        if waiting.called:
            return
        if isinstance(result, Failure) and result.check(CancelledError):
            result = Failure(Abandoned())
        waiting.callback(result)

    def give_up(failure: Failure) -> Failure:
        work.cancel()
        return failure

    waiting.addErrback(give_up)
    work.addBoth(pass_on)
    return waiting
