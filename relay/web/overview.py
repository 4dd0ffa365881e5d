"""What the admin listener shows and ends: of one relay, by what it knows itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Literal, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from relay.admission.shared import Fleet
from relay.lifecycle.handles import Handles, SessionHandle
from relay.rules.closes import Side
from relay.telemetry.metrics import Metrics, Scraped
from relay.telemetry.records import OpenRecord, Traffic
from relay.telemetry.snapshot import Snapshot
from relay.web.crossings import crossings_as_json
from relay.web.last_refusals import LastRefusals
from relay.web.standings import as_json

T = TypeVar("T")

Told = Mapping[str, object]
"""What is told, in JSON's own types."""

Stop = Callable[[], None]
"""Ends the watching of a session; may be called more than once."""

PAGE = 500
"""Most sessions in one answer, so that it takes the reactor no more than some milliseconds."""

OLDEST = 100
"""Most sessions on the dashboard, the oldest, so that an event takes the reactor no longer."""


class Administered(Scraped, Protocol):
    """What an overview is of: a L{relay.RelayFactory}."""

    handles: Handles
    fleet: Fleet | None

    def gather(self) -> Deferred[dict[Side, Traffic]]:
        """What has crossed in the sessions that are open."""

    @property
    def is_ready(self) -> bool:
        """Whether it has not been told to end."""


class Directory(Protocol):
    """The sessions that are open. Where they are another process's, the answers come later."""

    def page(self, wanted: Mapping[str, str], start: int) -> Told | Deferred[Told]:
        """
        At most L{PAGE} of the sessions by a subject, model or upstream, and how many there are.
        """

    def show(self, id: str) -> Told | Deferred[Told | None] | None:
        """One of them; L{None} if there is no such session."""

    def close(self, id: str) -> bool | Deferred[bool]:
        """End one of them; return whether there was such a session."""

    def watch(
        self, id: str, told: Callable[[Told], None], payloads: bool
    ) -> Stop | Deferred[Stop | None] | None:
        """
        Watch one of them.

        @param told: called as L{relay.SessionHandle.watch} says, with what L{crossings_as_json}
            makes; not before this has answered.
        @return: what ends that; L{None} if there is no such session. If it comes later, cancelling
            ends it too.
        """

    def revoke(self, subject: str) -> int | Deferred[int]:
        """End all of a subject's; return how many there were."""


class Overview(Protocol):
    """
    All that the admin listener shows.

    @ivar directory: the sessions that are open.
    """

    @property
    def directory(self) -> Directory:
        """The sessions that are open."""

    @property
    def state(self) -> Literal["starting", "ready", "draining"]:
        """C{draining} once the relay has been told to end."""

    def snapshot(self) -> Snapshot | Deferred[Snapshot]:
        """What was counted."""

    def upstreams(self) -> Sequence[Told]:
        """How each upstream is doing."""

    def fleet(self) -> Told | None:
        """How its fleet is doing; L{None} if it has none."""

    def oldest(self) -> Sequence[Told]:
        """The L{OLDEST} sessions."""

    def refusals(self) -> Sequence[Told]:
        """The last ones, the last one first."""


async def answered(answer: T | Deferred[T]) -> T:
    """What a L{Directory} answers, once it is there."""
    return await answer if isinstance(answer, Deferred) else answer


@frozen
class OwnSessions:
    """The L{Directory} of this process."""

    handles: Handles

    def page(self, wanted: Mapping[str, str], start: int) -> Told:
        """The oldest come first."""
        found = [*self.handles.find(**wanted)]
        page = [session_as_json(each.record()) for each in found[start : start + PAGE]]
        rest = start + PAGE if start + PAGE < len(found) else None
        return {"total": len(found), "sessions": page, "next_offset": rest}

    def show(self, id: str) -> Told | None:
        """One of them, as far as it has come."""
        found = self._one(id)
        return session_as_json(found.record()) if found else None

    def close(self, id: str) -> bool:
        """End it on both sides."""
        found = self._one(id)
        if found is not None:
            found.close()
        return found is not None

    def watch(self, id: str, told: Callable[[Told], None], payloads: bool) -> Stop | None:
        """Tell what crosses it."""
        found = self._one(id)
        if found is None:
            return None
        return found.watch(lambda each: told(crossings_as_json(each, payloads)), payloads=payloads)

    def revoke(self, subject: str) -> int:
        """Refuse the subject's holds, too."""
        return self.handles.revoke(subject)

    def _one(self, id: str) -> SessionHandle | None:
        return next(self.handles.find(id=id), None)


@frozen
class OwnOverview:
    """The L{Overview} of one relay in this process."""

    relay: Administered
    metrics: Metrics
    last_refusals: LastRefusals

    @property
    def directory(self) -> OwnSessions:
        """Its sessions."""
        return OwnSessions(self.relay.handles)

    @property
    def is_ready(self) -> bool:
        """Whether it has not been told to end."""
        return self.relay.is_ready

    @property
    def state(self) -> Literal["ready", "draining"]:
        """C{draining} once it has been told to end."""
        return "ready" if self.is_ready else "draining"

    def snapshot(self) -> Deferred[Snapshot]:
        """What it counted."""
        return self.relay.gather().addCallback(partial(self.metrics.snapshot, self.relay))

    def upstreams(self) -> list[Told]:
        """How each of them is doing."""
        return [as_json(each) for each in self.relay.standings]

    def fleet(self) -> Told | None:
        """How its fleet is doing."""
        return None if self.relay.fleet is None else self.relay.fleet.told()

    def oldest(self) -> list[Told]:
        """The L{OLDEST} of its sessions."""
        oldest = islice(self.relay.handles.find(), OLDEST)
        return [session_as_json(each.record()) for each in oldest]

    def refusals(self) -> Sequence[Told]:
        """Its last ones."""
        return self.last_refusals.as_json()


def session_as_json(record: OpenRecord) -> dict[str, object]:
    """A session, for the operator to read."""
    hold = record.hold
    return {
        "id": hold.request_id,
        "session_id": record.session_id,
        "subject": hold.subject,
        "model": hold.model,
        "upstream": hold.upstream,
        "peer": hold.peer,
        "origin": hold.origin,
        "path": hold.path,
        "state": record.state,
        "seconds": round(record.seconds, 3),
        "plane": record.plane,
        "up": _traffic(record.sent["downstream"]),
        "down": _traffic(record.sent["upstream"]),
        "tokens": record.tokens,
    }


def _traffic(traffic: Traffic) -> dict[str, int]:
    return {"messages": traffic.messages, "bytes": traffic.bytes}
