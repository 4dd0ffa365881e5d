"""One watches a session by the parent, and a worker has it: both ends of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred

from relay.daemon.workers.channel import Channel, NoAnswer
from relay.web.overview import OwnSessions, Stop, Told

LOST: Told = {
    "crossed": [],
    "missed": 0,
    "closed": {"code": None, "by": "relay", "seconds": None},
}
"""The end of a session whose worker has ended. How long it lasted is not known."""


class Watched:
    """
    The parent's end: who watches sessions of one worker.

    @param ask: asks the worker.
    @param tell: tells it.
    """

    def __init__(self, ask: Callable[..., Deferred[Any]], tell: Callable[..., None]) -> None:
        self._ask = ask
        self._tell = tell
        self._numbers = count(1)
        self._told: dict[int, Callable[[Told], None]] = {}

    async def watch(self, id: str, told: Callable[[Told], None], payloads: bool) -> Stop | None:
        """Watch a session; return what ends that, or L{None} if the worker does not have it."""
        number = next(self._numbers)
        self._told[number] = told
        stop, begun = partial(self._stop, number), False
        try:
            begun = await self._ask("look", id, number, payloads)
        except NoAnswer:
            return None
        finally:
            if not begun:
                stop()
        return stop if begun else None

    def crossed(self, number: int, batch: Told) -> None:
        """The worker says what crossed."""
        told = self._told.get(number)
        if batch["closed"] is not None:
            self._told.pop(number, None)
        if told is not None:
            told(batch)

    def lost(self) -> None:
        """The worker has ended, and its sessions with it."""
        for number in [*self._told]:
            self.crossed(number, LOST)

    def _stop(self, number: int) -> None:
        if self._told.pop(number, None) is not None:
            self._tell("look_away", number)


class _Passed:
    """Passes on what crosses one session. What the parent has no time to read is counted."""

    def __init__(self, channel: Channel, number: int) -> None:
        self._channel = channel
        self._number = number
        self._missed = 0

    def __call__(self, batch: Any) -> None:
        missed = self._missed + batch["missed"]
        if self._channel.is_full and batch["closed"] is None:
            self._missed = missed + len(batch["crossed"])
            return
        self._missed = 0
        self._channel.tell("crossed", self._number, {**batch, "missed": missed})


class Shown:
    """The worker's end: the sessions that are watched by the parent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._stops: dict[int, Stop] = {}

    def look(self, sessions: OwnSessions, id: str, number: int, payloads: bool) -> bool:
        """Begin to tell what crosses one; return whether there is such a session."""
        stop = sessions.watch(id, _Passed(self._channel, number), payloads)
        if stop is not None:
            self._stops[number] = stop
        return stop is not None

    def look_away(self, number: int) -> None:
        """Nobody watches it any more."""
        if stop := self._stops.pop(number, None):
            stop()

    def look_away_from_all(self) -> None:
        """The parent is gone."""
        for number in [*self._stops]:
            self.look_away(number)
