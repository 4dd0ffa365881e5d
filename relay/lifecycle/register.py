"""What is open in one factory: every hold, session and connection; and the listeners to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twisted.logger import Logger

from relay.rules.closes import Close, Side
from relay.rules.refusals import Refusal, refuse
from relay.telemetry.crossings import Watcher
from relay.telemetry.records import (
    AnsweredRecord,
    ClosedRecord,
    HoldRecord,
    OpenRecord,
    RecordingOutcome,
    RelayListener,
    Traffic,
)

_log = Logger()


def _nothing() -> None:
    """Stands in for L{Register.ended} while nothing waits for an end."""


class OpenHold(Protocol):
    """A hold, as the register sees it."""

    @property
    def record(self) -> HoldRecord:
        """Whose it is."""

    def end(self, refusal: Refusal) -> None:
        """End it with a refusal."""


class Notified(Protocol):
    """A client that is told of the relay's end."""

    def drains(self, at: float) -> None:
        """The relay ends. From then on, by the clock, it closes sessions."""


class OpenSession(Protocol):
    """A session, as the register sees it."""

    @property
    def hold(self) -> HoldRecord:
        """Whose it is."""

    @property
    def began(self) -> float:
        """When it was opened, by the clock."""

    def record(self) -> OpenRecord:
        """How it is going now."""

    @property
    def notices(self) -> Notified | None:
        """Tells its client of its end; L{None} if that did not ask for it."""

    @property
    def is_ending(self) -> bool:
        """Whether its end has begun."""

    @property
    def is_responding(self) -> bool:
        """Whether upstream is known to be in the middle of a response."""

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        """Add what has crossed so far, by the side it came from."""

    def watch(self, told: Watcher, payloads: bool) -> Callable[[], None]:
        """Tell C{told} what crosses it, and at last of its end; return what ends that."""

    def close(self, close: Close) -> None:
        """End it on both sides."""

    def abort(self) -> None:
        """Drop both connections now."""


class OpenConnection(Protocol):
    """A connection with a request, as the register sees it."""

    def abort(self) -> None:
        """Drop it now."""


class Register:
    """
    Knows what is open, and tells listeners. Its counts add up: opened = closed + active.

    @ivar holds: holds that are not yet answered.
    @ivar sessions: sessions that still have a connection, the oldest first.
    @ivar silent: accepted connections whose request is not there yet.
    @ivar connections: accepted connections with a request: in a hold, in a session, or being
        answered.
    @ivar draining: whether nothing new is let in.
    @ivar ended: called whenever a hold, session or connection has ended.
    @ivar capacity: most holds and sessions at once.
    """

    def __init__(self, capacity: int, listeners: Sequence[RelayListener]) -> None:
        self.holds: set[OpenHold] = set()
        self.sessions: dict[OpenSession, None] = {}
        self.silent: set[OpenConnection] = set()
        self.connections: set[OpenConnection] = set()
        self.draining = False
        self.ended: Callable[[], None] = _nothing
        self.capacity = capacity
        self._listeners = [*listeners]

    def listen(self, listener: RelayListener) -> None:
        """Have one more listener told, of what comes from now on."""
        self._listeners.append(listener)

    def admission_refusal(self) -> Refusal | None:
        """Why another hold is not let in; L{None} if there is room for it."""
        if self.draining:
            return refuse("draining")
        if len(self.holds) + len(self.sessions) >= self.capacity:
            return refuse("relay_full")
        return None

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Tell of a hold that ended without a session."""
        self._tell(record.request_id, lambda listener: listener.refused(record, refusal))
        self.ended()

    def opened(self, record: HoldRecord) -> None:
        """Tell of a hold that ended with a session."""
        self._tell(record.request_id, lambda listener: listener.opened(record))

    def called(self, record: HoldRecord) -> None:
        """Tell of a hold that ended with a call."""
        self._tell(record.request_id, lambda listener: listener.called(record))
        self.ended()

    def answered(self, record: AnsweredRecord) -> None:
        """Tell of a plain request that was answered."""
        self._tell(record.request_id, lambda listener: listener.answered(record))

    def event(self, hold: HoldRecord, event: Mapping[str, Any]) -> None:
        """Tell of an event that an upstream sent."""
        self._tell(hold.request_id, lambda listener: listener.event(hold, event))

    def first_audio(self, hold: HoldRecord, seconds: float) -> None:
        """Tell how long a response took to its first audio."""
        self._tell(hold.request_id, lambda listener: listener.first_audio(hold, seconds))

    def recorded(self, hold: HoldRecord, outcome: RecordingOutcome) -> None:
        """Tell what became of a session's file."""
        self._tell(hold.request_id, lambda listener: listener.recorded(hold, outcome))

    def closed(self, session: OpenSession, record: ClosedRecord) -> None:
        """A session ended: forget it and tell of it."""
        self.sessions.pop(session, None)
        self._tell(record.hold.request_id, lambda listener: listener.closed(record))
        self.ended()

    def asked(self, connection: OpenConnection) -> None:
        """An accepted connection has a request, or is answered without one."""
        self.silent.discard(connection)
        self.connections.add(connection)

    def gone(self, connection: OpenConnection) -> None:
        """An accepted connection is gone: forget it."""
        self.silent.discard(connection)
        self.connections.discard(connection)
        self.ended()

    def _tell(self, request_id: str, call: Callable[[RelayListener], None]) -> None:
        """Call all listeners. An exception of one is logged, and ends neither session nor calls."""
        for listener in self._listeners:
            try:
                call(listener)
            except Exception:
                _log.failure("a listener failed at {id}", id=request_id)
