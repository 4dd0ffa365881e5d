"""Server-sent events for a few who watch, and nothing to do while nobody does."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from relay.rules.refusals import Refused, refuse
from relay.timing.deadline import Deadline
from relay.web.page import PlainRequest, refusing

_log = Logger()

MOST = 5
"""
How many may watch at once, the relay or a session. A browser opens 6 connections to one host, so
one is left for the rest.
"""

EACH_SECONDS = 1.0
"""From one event to the next."""

PATIENCE = 30
"""How many events in a row one may miss because it does not read; then its answer ends."""

FULL = f"{MOST} watch already, which is all that may at once; close another dashboard."

_AGAIN = b"retry: 1000\n\n"
"""Has a browser ask again a second after its answer ended."""


@implementer(IPushProducer)
class Watcher:
    """
    One who watches.

    @ivar is_paused: whether what was written before is not yet on its way.
    @ivar missed: how many events it missed in a row.
    """

    def __init__(self, request: PlainRequest) -> None:
        self._request = request
        self.is_paused = False
        self.missed = 0
        request.registerProducer(self, True)

    def tell(self, event: bytes) -> None:
        """Write an event, if what was written before is on its way."""
        self.missed = self.missed + 1 if self.is_paused else 0
        if not self.is_paused:
            self._request.write(event)

    def end(self, event: bytes = b"") -> None:
        """The answer is whole with this event, which is written even to one that does not read."""
        if event:
            self._request.write(event)
        self._request.unregisterProducer()
        self._request.finish()

    def pauseProducing(self) -> None:
        """The connection takes no more."""
        self.is_paused = True

    def resumeProducing(self) -> None:
        """The connection takes more."""
        self.is_paused = False

    def stopProducing(self) -> None:
        """The connection is lost; its request tells of that too."""


class Places:
    """The places of all who watch, on whichever page. There are L{MOST}."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, request: PlainRequest) -> None:
        """
        Take one, until the request is answered.

        @raise Refused: if there is none for it.
        """
        if request.method != b"GET":
            request.setHeader("Allow", "GET")
            raise Refused(refuse("method_not_allowed", "Ask for this with GET."))
        if self._taken >= MOST:
            raise Refused(refuse("relay_full", FULL))
        self._taken += 1
        request.notifyFinish().addBoth(self._leave)

    def _leave(self, _: object) -> None:
        self._taken -= 1


def begin(request: PlainRequest) -> Watcher:
    """Begin an answer that lasts."""
    request.responseHeaders.removeHeader(b"Server")
    request.setHeader("Content-Type", "text/event-stream")
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("X-Content-Type-Options", "nosniff")
    request.write(_AGAIN)
    return Watcher(request)


def event_of(told: object) -> bytes:
    """An event that tells this, as JSON."""
    return b"data: " + json.dumps(told).encode("ascii") + b"\n\n"


class Events(Resource):
    """
    The page of the events.

    @param told: what an event tells, made once for all who watch.
    @param goes_on: whether an answer may last. If not, each ends with its first event, so that the
        end of the relay waits for nobody who watches.
    """

    isLeaf = True

    def __init__(
        self,
        places: Places,
        told: Callable[[], Coroutine[Any, Any, object]],
        goes_on: Callable[[], bool],
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._places = places
        self._told = told
        self._goes_on = goes_on
        self._watchers: list[Watcher] = []
        self._next = Deadline(clock)

    def render(self, request: Any) -> Any:
        """Begin an answer that lasts."""
        try:
            self._places.take(request)
        except Refused as refused:
            return refusing(refused.refusal).render(request)
        watcher = begin(request)
        self._watchers.append(watcher)
        request.notifyFinish().addBoth(lambda _: self._left(watcher))
        if not self._next.is_set:
            self._next.set(EACH_SECONDS, self._tell)
        self._make(partial(self._tell_one, watcher))
        return NOT_DONE_YET

    def _make(self, tell: Callable[[bytes], None]) -> None:
        made = Deferred.fromCoroutine(self._told()).addCallback(event_of).addCallback(tell)
        made.addErrback(lambda failure: _log.failure("no event could be told", failure))

    def _tell(self) -> None:
        self._next.set(EACH_SECONDS, self._tell)
        self._make(self._tell_all)

    def _tell_all(self, event: bytes) -> None:
        for watcher in [*self._watchers]:
            self._tell_one(watcher, event)

    def _tell_one(self, watcher: Watcher, event: bytes) -> None:
        if watcher not in self._watchers:
            return  # it has left meanwhile
        watcher.tell(event)
        if watcher.missed > PATIENCE or not self._goes_on():
            watcher.end()

    def _left(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)
        if not self._watchers:
            self._next.clear()
