"""Calls that the relay ends. Their media go past it, so it ends them by the API."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from relay.rules.refusals import Refused

_log = Logger()

MOST = 10_000
"""Most calls that wait for their end at once."""

HangUp = Callable[[], Coroutine[Any, Any, object]]


def hang_up_now(request_id: str, hang_up: HangUp) -> Deferred[None]:
    """
    End a call.

    @param request_id: of the request that set it up.
    @param hang_up: ends it; fails with L{Refused} if the upstream does not.
    @return: fires when that is done, or has failed, which is logged.
    """
    return Deferred.fromCoroutine(_end(request_id, hang_up))


async def _end(request_id: str, hang_up: HangUp) -> None:
    try:
        await hang_up()
        _log.info("hung up the call of {id}", id=request_id)
    except Refused as refused:
        refusal = refused.refusal
        if refusal.status == HTTPStatus.NOT_FOUND:
            return  # it is over
        text = "the call of {id} could not be hung up: {code}"
        _log.error(text, id=request_id, code=refusal.code)
    except Exception:
        _log.failure("the call of {id} could not be hung up", id=request_id)


class HangUps:
    """The calls of one relay that end with their grant, and are not heard meanwhile."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[str, IDelayedCall] = {}

    @property
    def is_full(self) -> bool:
        """Whether no other call can wait for its end."""
        return len(self._waiting) >= MOST

    def after(self, seconds: float, request_id: str, hang_up: HangUp) -> None:
        """
        End a call later.

        @param request_id: of the request that set it up.
        @param hang_up: ends it; fails with L{Refused} if the upstream does not.
        """
        call = self._clock.callLater(seconds, self._begin, request_id, hang_up)
        self._waiting[request_id] = call

    def clear(self) -> None:
        """Forget them all: the relay ends."""
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call.cancel()

    def _begin(self, request_id: str, hang_up: HangUp) -> None:
        del self._waiting[request_id]
        hang_up_now(request_id, hang_up)
