"""Those who watch one session. While nobody does, nothing is looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.peer.interfaces import Downstream
from relay.session.glance import BEGINNING, Seen, View, text_of, type_of
from relay.telemetry.crossings import Crossing, Crossings, Sender, Watcher
from relay.telemetry.records import ClosedRecord
from relay.timing.deadline import Deadline

_log = Logger()

EACH_SECONDS = 0.1
"""From the first message that is not told yet until it is."""

MOST_MESSAGES = 200
"""Most messages that are told at once."""

MOST_BYTES = 512 * 1024
"""Most bytes that are looked at for that."""


@frozen(eq=False)
class _Place:
    """One who watches."""

    told: Watcher
    payloads: bool


class Watch:
    """
    Gathers what crosses one session, and tells all who watch it ten times a second.

    @param began: when the session was opened, by the clock.
    @param secrets: are not in what is told.
    @param show: has the session show its messages, so many bytes of each; returns what ends that.
    """

    def __init__(
        self,
        clock: IReactorTime,
        began: float,
        secrets: Collection[str],
        show: Callable[[View, int], Callable[[], None]],
    ) -> None:
        self._clock = clock
        self._began = began
        self._secrets = secrets
        self._show = show
        self._places: list[_Place] = []
        self._wants_payloads = False
        self._next = Deadline(clock)
        self._number = 0
        self._stop: Callable[[], None] = _nothing
        self._forget()

    def add(self, told: Watcher, payloads: bool) -> Callable[[], None]:
        """Tell this one too; return what ends that."""
        place = _Place(told, payloads)
        self._places.append(place)
        self._wants_payloads = self._wants_payloads or payloads
        if len(self._places) == 1:
            self._stop = self._show(self._seen, BEGINNING)
        return partial(self._leave, place)

    def end(self, record: ClosedRecord) -> None:
        """The session is over: tell the rest, and that."""
        if self._places:
            self._tell(record)
        for place in [*self._places]:
            self._leave(place)

    def _leave(self, place: _Place) -> None:
        if place not in self._places:
            return
        self._places.remove(place)
        self._wants_payloads = any(each.payloads for each in self._places)
        if not self._places:
            self._stop()
            self._next.clear()
            self._number = 0
            self._forget()

    def _forget(self) -> None:
        self._crossed: list[Crossing] = []
        self._missed = self._bytes = 0

    def _seen(self, sender: Sender, beginning: bytes, size: int, is_binary: bool) -> None:
        self._number += 1
        if not self._next.is_set:
            self._next.set(EACH_SECONDS, self._tell)
        self._bytes += len(beginning)
        if len(self._crossed) >= MOST_MESSAGES or self._bytes > MOST_BYTES:
            self._missed += 1
            return
        try:
            self._crossed.append(self._crossing(sender, beginning, size))
        except Exception:  # the session must go on
            _log.failure("a message that crosses a session cannot be told")
            self._missed += 1

    def _crossing(self, sender: Sender, beginning: bytes, size: int) -> Crossing:
        text = text_of(beginning, self._secrets) if self._wants_payloads else None
        return Crossing(
            self._number,
            self._clock.seconds() - self._began,
            sender,
            type_of(beginning, size),
            size,
            text,
            text is not None and size > len(beginning),
        )

    def _tell(self, closed: ClosedRecord | None = None) -> None:
        batch = Crossings(self._crossed, self._missed, closed)
        self._forget()
        for place in [*self._places]:
            try:
                place.told(batch if place.payloads else batch.without_payloads())
            except Exception:
                _log.failure("what watches a session failed, and is told no more")
                self._leave(place)


def _nothing() -> None:
    """Stands in while nobody watches."""


def show_words(peer: Downstream, seen: Seen | None) -> None:
    """Show what the relay itself says to this peer, before it is said; L{None} ends that."""
    if seen is None:
        del peer.say
        return
    say = peer.say

    def shown(words: bytes) -> None:
        seen("relay", words[: seen.most], len(words), False)
        say(words)

    peer.say = shown  # type: ignore[method-assign]
