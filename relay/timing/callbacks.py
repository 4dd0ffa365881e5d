"""
Await what an embedder's callback answers, whatever its Deferred makes of being cancelled.

Where asyncio's loop runs, as under Twisted's asyncio reactor, a coroutine may await both kinds:
Deferreds and asyncio's futures. Each of the two libraries drives only its own.
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Abandoned(Exception):
    """A callback's work was cancelled, but not by the relay."""


async def answer_of(answer: T | Awaitable[T]) -> T:
    """
    The answer itself, or what it comes to. A coroutine runs as a task of asyncio's loop, if that
    runs.

    Cancelling ends the wait at once, even if the callback's Deferred ignores that or answers all
    the same, because nothing must be dialled for a client that is gone.

    @raise Abandoned: if the callback's own side cancelled its work. A L{CancelledError} would be
        taken for the relay's.
    """
    if not inspect.isawaitable(answer):
        return answer
    return await _detached(_begun(answer))


def _begun(answer: Awaitable[T]) -> Deferred[T]:
    loop = None if isinstance(answer, Deferred) else _loop()
    if loop is None:
        return Deferred.fromCoroutine(_awaited(answer))
    # A task, since timeouts and most libraries ask asyncio for the one they run in.
    return Deferred.fromFuture(loop.create_task(_of_both_kinds(answer, loop)))


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _of_both_kinds(answer: Awaitable[T], loop: asyncio.AbstractEventLoop) -> T:
    return await _steps(answer, loop)


@types.coroutine
def _steps(answer: Awaitable[T], loop: asyncio.AbstractEventLoop) -> Generator[Any, None, T]:
    """Hand what it waits for to the task, each Deferred as a future."""
    coroutine = _awaited(answer)
    error: BaseException | None = None
    while True:
        try:
            waited = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return cast(T, end.value)
        try:
            error = None
            yield from _fired(waited, loop) if isinstance(waited, Deferred) else (waited,)
        except BaseException as thrown:  # of a cancelled task, too
            error = thrown


def _fired(waited: Deferred[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """
    When it has fired. Not C{asFuture}, which takes the result: a Deferred that is awaited looks for
    its own result when the coroutine goes on.
    """
    future = loop.create_future()

    def fire(result: Any) -> Any:
        if future.done():  # cancelled: nobody looks at the result any more
            return None
        future.set_result(None)
        return result

    waited.addBoth(fire)
    future.add_done_callback(lambda _: waited.cancel() if future.cancelled() else None)
    return future


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


def _detached(work: Deferred[T]) -> Deferred[T]:
    waiting: Deferred[T] = Deferred()  # without a canceller: cancelling fires it at once

    def pass_on(result: Any) -> None:
        if waiting.called:
            return
        if isinstance(result, Failure) and result.check(CancelledError, asyncio.CancelledError):
            result = Failure(Abandoned())
        waiting.callback(result)

    def give_up(failure: Failure) -> Failure:
        work.cancel()
        return failure

    waiting.addErrback(give_up)
    work.addBoth(pass_on)
    return waiting
