"""
A Realtime client for Twisted services: a session that is kept up.

    client = RealtimeClient("wss://relay.example.com/v1/realtime?model=gpt-realtime", key)
    client.setServiceParent(application)
    async for event in client.events(): ...

It works with the relay, and with a service directly: it reads refusals from whatever refuses.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue
from twisted.internet.task import deferLater
from twisted.logger import Logger

from relay.client.connection import Socket, SocketFactory, connect
from relay.client.meaning import Event, Refused, Times, Told, delay, kind_of, told_by
from relay.rules.values import as_table, as_text
from relay.timing.callbacks import answer_of

_log = Logger()

State = Literal["connecting", "open", "reconnecting", "refused", "closed"]

OVER = object()
"""Ends the events."""


Several = Sequence[Event] | Callable[[], Iterable[Event]]


def _all(events: Several) -> list[Event]:
    return list(events() if callable(events) else events)


class RealtimeClient(Service):
    """
    A session that is kept up while the service runs.

    @ivar state: how it is.
    @ivar sessions: how many there were so far. A new one knows nothing of the one before.
    """

    def __init__(
        self,
        url: str,
        credential: str | Callable[[], str | Awaitable[str]] | None = None,
        *,
        setup: Several = (),
        items: Several = (),
        reactor: Any = None,
        times: Times | None = None,
        trust: Any = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """
        @param credential: a key or a secret; or what gives one, for each connection.
        @param setup: events to send first in each session.
        @param items: events that tell a session that is not the first what it shall know.
        @param trust: a trust root for C{wss:}, as of L{optionsForClientTLS}; the machine's if
            L{None}.
        @param chance: a random number from 0 to 1.
        """
        if reactor is None:
            # Imported only here, because importing it installs it.
            from twisted.internet import reactor as installed

            reactor = installed
        self._url = url
        self._credential = credential
        self._setup, self._items = setup, items
        self._reactor = reactor
        self._times = times or Times()
        self._trust = trust
        self._chance = chance
        self._events: DeferredQueue[Any] = DeferredQueue()
        self._socket: Socket | None = None
        self._next: Socket | None = None
        self._work: Deferred[None] | None = None
        self._attempt = 0
        self._leaving = False
        self.state: State = "closed"
        self.sessions = 0

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._attempt = 0
        self._try("connecting", 0.0)

    def stopService(self) -> None:
        """End the session, and do not come back."""
        super().stopService()
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
        for socket in filter(None, (self._socket, self._next)):
            socket.leave()
        self._socket = self._next = None
        self._finish("closed", OVER)

    async def events(self) -> AsyncIterator[Event]:
        """
        The service's events, of all sessions; until the service stops or ends the session.

        @raise Refused: if there is no session, and trying again is no use.
        """
        while True:
            event = await self._events.get()
            if event is OVER:
                return
            if isinstance(event, Refused):
                raise event
            yield event

    def send(self, event: Event) -> bool:
        """
        Send an event.

        @return: whether there is a session for it. Nothing is kept for later: a later session would
            not know what it is about.
        """
        socket = self._socket
        if socket is None or not socket.opened or socket.state != socket.STATE_OPEN:
            return False
        socket.sendMessage(json.dumps(event).encode("ascii"))
        return True

    # -- connections -----------------------------------------------------------------------

    def _try(self, state: State, seconds: float) -> None:
        self.state = state
        self._work = Deferred.fromCoroutine(self._dial(seconds))
        self._work.addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        if not failure.check(CancelledError):
            _log.failure("the client for {url} failed", failure, url=self._url)
            self._finish("closed", OVER)

    async def _dial(self, seconds: float) -> None:
        if seconds:
            await deferLater(self._reactor, seconds)
        try:
            self._socket = await self._connected()
        except CancelledError:
            raise
        except Exception as error:
            self._come_back(Told("close_1006", str(error) or type(error).__name__, True))

    async def _connected(self) -> Socket:
        credential = self._credential
        key = await answer_of(credential()) if callable(credential) else credential
        factory = SocketFactory(
            self._url, key, self._times, self._reactor, self._hears, self._ended
        )
        return await connect(factory, self._trust)

    def _renew(self) -> None:
        """Open the next session while this one goes on."""
        self._leaving = False
        if self._next is None:
            opening = Deferred.fromCoroutine(self._connected())
            opening.addCallbacks(self._take_next, lambda _: None)

    def _take_next(self, socket: Socket) -> None:
        if self.running and self._next is None and self._socket is not None:
            self._next = socket
        else:
            socket.leave()

    # -- what a connection tells -----------------------------------------------------------

    def _hears(self, socket: Socket, payload: bytes) -> None:
        event = _event_in(payload)
        if event is None or socket.gone:
            return
        kind = as_text(event.get("type"))
        if kind == "error" and (not socket.opened or _is_relays(event)):
            socket.error = event
        if kind != "error" and not socket.opened:
            self._opens(socket)
        if socket is not self._socket:
            return
        socket.responding = kind == "response.created" or (
            socket.responding and kind != "response.done"
        )
        self._leaving = self._leaving or kind in ("relay.expiring", "relay.draining")
        self._events.put(event)
        if self._leaving and not socket.responding:
            self._renew()

    def _opens(self, socket: Socket) -> None:
        socket.opened = True
        socket.patience.clear()
        old = self._socket if self._socket is not socket else None
        self._socket, self._next = socket, None
        self._attempt = 0
        self.state = "open"
        self.sessions += 1
        for event in [*_all(self._setup), *(_all(self._items) if self.sessions > 1 else ())]:
            self.send(event)
        if old is not None:
            old.leave()

    def _ended(self, socket: Socket, code: int | None, reason: str) -> None:
        if socket.gone:
            return
        socket.gone = True
        if socket is self._next:
            self._next = None  # the session that goes on will end, and be followed by another
            return
        self._socket, self._next = self._next, None
        if self._socket is not None:
            self.state = "reconnecting"  # it is under way already
            return
        told = told_by(socket.error, code, reason)
        kind = kind_of(socket.error, code, reason, socket.opened)
        if kind == "closed":
            self._finish("closed", OVER)
        elif told.retryable:
            self._come_back(told)
        else:
            self._finish("refused", Refused(told))

    def _come_back(self, told: Told) -> None:
        if self.running:
            wait = delay(self._attempt, told.retry_after, self._times, self._chance)
            self._attempt += 1
            _log.info("{code}: trying again in {wait:.1f} s", code=told.code, wait=wait)
            self._try("reconnecting", wait)

    def _finish(self, state: State, last: object) -> None:
        if self.state not in ("closed", "refused"):
            self.state = state
            self._events.put(last)


def _event_in(payload: bytes) -> Event | None:
    try:
        event = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _is_relays(event: Event) -> bool:
    return as_text(as_table(event.get("error")).get("type")) == "relay_error"
