"""All workers as one relay: what the admin listener shows of them, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import Any, Literal

from twisted.internet.defer import Deferred

from relay.daemon.workers.channel import NoAnswer
from relay.daemon.workers.slot import Slot
from relay.telemetry.metrics import BREAKER
from relay.telemetry.snapshot import Snapshot, total
from relay.web.last_refusals import REFUSALS
from relay.web.overview import OLDEST, PAGE, Stop, Told


class CrewSessions:
    """The L{relay.web.overview.Directory} of all workers: those of one, then of the next."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots

    def page(self, wanted: Mapping[str, str], start: int) -> Deferred[Told]:
        """The oldest of each worker come first."""
        return Deferred.fromCoroutine(self._page(wanted, start))

    async def _page(self, wanted: Mapping[str, str], start: int) -> Told:
        before, page, silent = 0, list[Told](), 0
        for slot in self._slots:
            found = await _answer(slot, "page", dict(wanted), max(0, start - before))
            silent += found is None
            before += found["total"] if found else 0
            page += found["sessions"] if found else []
        rest = start + PAGE if start + PAGE < before else None
        told = {"total": before, "sessions": page[:PAGE], "next_offset": rest}
        return {**told, "workers_without_answer": silent} if silent else told

    def show(self, id: str) -> Deferred[Told | None]:
        """One of them; each worker is asked."""
        return Deferred.fromCoroutine(self._any("show", id))

    def close(self, id: str) -> Deferred[bool]:
        """End it on both sides."""
        return Deferred.fromCoroutine(self._any("close", id)).addCallback(bool)

    def watch(self, id: str, told: Callable[[Told], None], payloads: bool) -> Deferred[Stop | None]:
        """Watch it in the worker that has it."""
        return Deferred.fromCoroutine(self._watch(id, told, payloads))

    async def _watch(self, id: str, told: Callable[[Told], None], payloads: bool) -> Stop | None:
        found = await self._all("show", id)
        for slot in (slot for slot, shown in zip(self._slots, found, strict=True) if shown):
            return await slot.watched.watch(id, told, payloads)
        return None

    async def _any(self, name: str, *values: object) -> Any:
        return next(filter(None, await self._all(name, *values)), None)

    def revoke(self, subject: str) -> Deferred[int]:
        """End all of a subject's, and refuse its holds."""
        return Deferred.fromCoroutine(self._revoke(subject))

    async def _revoke(self, subject: str) -> int:
        return sum(filter(None, await self._all("revoke", subject)))

    async def _all(self, name: str, *values: object) -> list[Any]:
        asked = [_answering(slot, name, *values) for slot in self._slots]
        return [await answer for answer in asked]


def _answering(slot: Slot, name: str, *values: object) -> Deferred[Any]:
    return slot.ask(name, *values).addErrback(lambda failure: failure.trap(NoAnswer) and None)


async def _answer(slot: Slot, name: str, *values: object) -> Any:
    """What a worker answers; L{None} if it does not."""
    return await _answering(slot, name, *values)


class Crew:
    """
    The L{relay.web.overview.Overview} of all workers, by their last reports.

    @param own: what the parent counts itself.
    @ivar is_ending: whether the relay has been told to end.
    """

    def __init__(self, slots: Sequence[Slot], own: Callable[[], Snapshot]) -> None:
        self._slots = slots
        self._own = own
        self._departed = Snapshot({}, {}, {})
        self.directory = CrewSessions(slots)
        self.is_ending = False

    def departed(self, counted: Snapshot | None) -> None:
        """A worker has ended: what it had counted stays."""
        if counted is not None:
            self._departed += counted.once_ended()

    @property
    def state(self) -> Literal["starting", "ready", "draining"]:
        """C{starting} while no worker serves."""
        if self.is_ending:
            return "draining"
        return "ready" if any(slot.is_ready for slot in self._slots) else "starting"

    def snapshot(self) -> Snapshot:
        """What all counted, those that have ended too."""
        counted = [slot.counted for slot in self._slots if slot.counted is not None]
        return total([self._own(), self._departed, *counted])

    def upstreams(self) -> list[Told]:
        """Each as it is in the worker that sees it worst, with all connections."""
        told: dict[str, list[Mapping[str, Any]]] = {}
        for each in self._told("upstreams"):
            told.setdefault(each["name"], []).append(each)
        return [_worst(each) for each in told.values()]

    def fleet(self) -> Told | None:
        """That of a worker for which the store does not decide, if there is one."""
        told = sorted(self._told("fleet"), key=lambda each: bool(each["state"] == "up"))
        return told[0] if told else None

    def oldest(self) -> list[Told]:
        """The L{OLDEST} sessions, as they were a moment ago."""
        for slot in self._slots:
            slot.tell("watch")
        return nlargest(OLDEST, self._told("oldest"), key=itemgetter("seconds"))

    def refusals(self) -> list[Told]:
        """The last ones, the last one first."""
        told = (
            {**each, "number": each["number"] * len(self._slots) + slot.number}
            for slot in self._slots
            for each in (slot.report or {}).get("refusals", [])
        )
        return nsmallest(REFUSALS, told, key=itemgetter("seconds_ago"))

    def _told(self, name: str) -> Iterable[Mapping[str, Any]]:
        for slot in self._slots:
            yield from (slot.report or {}).get(name, [])


def _worst(standings: Sequence[Mapping[str, Any]]) -> Told:
    worst = max(standings, key=lambda each: BREAKER.get(each["breaker"], -1))
    return {**worst, "sessions": sum(each["sessions"] for each in standings)}
