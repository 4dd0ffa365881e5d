"""What an embedder's callback may be, where asyncio's loop runs too."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.python.failure import Failure

from relay.timing.callbacks import Abandoned, answer_of


def on_asyncio(test: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of its own; nothing in it waits for a time."""
    asyncio.run(test)


def asked(answer: Any) -> tuple[Deferred[Any], list[Any]]:
    """The wait for an answer, and where its outcome will be."""
    outcome: list[Any] = []
    waiting = Deferred.fromCoroutine(answer_of(answer))
    waiting.addBoth(outcome.append)
    return waiting, outcome


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_coroutine_awaits_deferreds_and_futures_in_turn() -> None:
    async def admit(first: Deferred[int], second: asyncio.Future[int]) -> list[int]:
        assert asyncio.current_task() is not None
        return [await first, await second, await succeed(3), await deep(first)]

    async def deep(failing: Deferred[Any]) -> int:
        failing = Deferred()
        asyncio.get_running_loop().call_soon(failing.errback, KeyError("four"))
        with pytest.raises(KeyError):
            await failing
        return 4

    async def test() -> None:
        first: Deferred[int] = Deferred()
        second = asyncio.get_running_loop().create_future()
        _, outcome = asked(admit(first, second))
        await turns()
        first.callback(1)
        await turns()
        assert outcome == []
        second.set_result(2)
        await turns()
        assert outcome == [[1, 2, 3, 4]]

    on_asyncio(test())


def test_a_callback_may_answer_with_a_future() -> None:
    async def test() -> None:
        future = asyncio.get_running_loop().create_future()
        _, outcome = asked(future)
        future.set_result("yes")
        await turns()
        assert outcome == ["yes"]

    on_asyncio(test())


@pytest.mark.parametrize("kind", ["deferred", "future"])
def test_cancelling_ends_a_wait_at_once_and_what_it_waits_for(kind: str) -> None:
    cancelled: list[str] = []

    async def admit(waited: Any) -> None:
        try:
            await waited
        except asyncio.CancelledError:
            cancelled.append("admit")
            raise

    async def test() -> None:
        waited: Any = Deferred(lambda _: cancelled.append("deferred"))
        if kind == "future":
            waited = asyncio.get_running_loop().create_future()
        waiting, outcome = asked(admit(waited))
        await turns()
        waiting.cancel()
        assert [failure.type for failure in outcome] == [CancelledError]
        await turns()
        assert "admit" in cancelled
        assert kind in cancelled or waited.cancelled()
        assert len(outcome) == 1

    on_asyncio(test())


def test_a_timeout_of_asyncio_cancels_a_deferred() -> None:
    async def admit(never: Deferred[None]) -> str:
        try:
            async with asyncio.timeout(0):
                await never
        except TimeoutError:
            return "too late"
        return "fired"

    async def test() -> None:
        never: Deferred[None] = Deferred()
        _, outcome = asked(admit(never))
        await turns()
        assert outcome == ["too late"]
        assert never.called

    on_asyncio(test())


def test_a_callback_that_cancels_itself_is_not_cancelled_by_the_relay() -> None:
    async def admit() -> None:
        raise asyncio.CancelledError

    async def test() -> None:
        _, outcome = asked(admit())
        await turns()
        (failure,) = outcome
        assert isinstance(failure, Failure)
        assert failure.type is Abandoned

    on_asyncio(test())


def test_without_asyncios_loop_a_coroutine_runs_at_once() -> None:
    async def admit() -> int:
        return await succeed(1)

    _, outcome = asked(admit())
    assert outcome == [1]
