"""One session as its messages cross, by server-sent events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from relay.rules.refusals import Refused
from relay.web.overview import Stop, Told
from relay.web.page import PlainRequest, answer_by, answer_failure, refusing
from relay.web.watchers import Places, Watcher, begin, event_of

PATIENCE = 300
"""
How many tenths of a second in which messages cross one may miss in a row because it does not read;
then its answer ends.
"""

Watch = Callable[[PlainRequest, Callable[[Told], None], bool], Awaitable[Stop]]
"""
Watches the session that a request is for: C{watch(request, told, payloads)}.

@raise Refused: if there is none.
"""


class _Told:
    """What one who watches a session is told, and how much of it was missed."""

    _watcher: Watcher
    _missed = 0

    def begin(self, request: PlainRequest, payloads: bool) -> None:
        """There is such a session, so there is an answer."""
        self._watcher = begin(request)
        self._watcher.tell(event_of({"watch": "payload" if payloads else "types"}))

    def __call__(self, batch: Any) -> None:
        """Write an event for each message, in one go."""
        watcher, crossed, missed = self._watcher, batch["crossed"], batch["missed"]
        if batch["closed"] is not None:
            watcher.end(self._events(crossed, missed) + event_of({"closed": batch["closed"]}))
        elif not watcher.is_paused:
            watcher.tell(self._events(crossed, missed))
        else:
            self._missed += len(crossed) + missed
            watcher.tell(b"")
            if watcher.missed > PATIENCE:
                watcher.end()

    def _events(self, crossed: list[Told], missed: int) -> bytes:
        before, self._missed = self._missed, 0
        return b"".join(map(event_of, [*_missed(before), *crossed, *_missed(missed)]))


def _missed(count: int) -> list[Told]:
    return [{"missed": count}] if count else []


class SessionEvents(Resource):
    """
    The page C{/sessions/ID/events}.

    @param payloads: whether to tell what the messages say.
    """

    isLeaf = True

    def __init__(self, watch: Watch, places: Places, payloads: bool) -> None:
        super().__init__()
        self._watch = watch
        self._places = places
        self._payloads = payloads

    def render(self, request: Any) -> int:
        """Begin an answer that lasts as long as the session."""
        work = Deferred.fromCoroutine(self._begin(request))
        request.notifyFinish().addErrback(lambda _: work.cancel())
        work.addErrback(answer_failure, request)
        return NOT_DONE_YET

    async def _begin(self, request: PlainRequest) -> None:
        told = _Told()
        try:
            self._places.take(request)
            stop = await self._watch(request, told, self._payloads)
        except Refused as refused:
            answer_by(refusing(refused.refusal), request)
            return
        request.notifyFinish().addBoth(lambda _: stop())
        told.begin(request, self._payloads)
