"""
A sideband of the Live API (C{/v1/live/sessions/ID/attach}): a second connection to a session.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from relay.simulator import fields
from relay.simulator.dialogue import Dialogue
from relay.simulator.fields import ClientError, Event

MAX_WAITING = 256
"""Most events that wait for a connection because another one caused them; older ones are lost."""

COMMANDS = (
    "session.update",
    "session.close",
    "session.input_audio.mute",
    "session.input_audio.unmute",
    "session.instructions.append",
    "session.thinking.append",
    "session.commentary.append",
)
"""What a sideband may send: neither audio nor a start."""


def client_event_id(about: object) -> Event:
    """How the Live API names the client event that an event is about, if that has a name."""
    return {"client_event_id": about} if isinstance(about, str) else {}


class LiveDialogue(Dialogue):
    """What the connections of the Live API have in common: their errors."""

    def _error(self, error: ClientError, about: object) -> Event:
        told = super()._error(error, None)
        del told["error"]["event_id"]
        return {**told, "error": {**told["error"], **client_event_id(about)}}


class Session(Protocol):
    """The session that a sideband is attached to."""

    def attach(self, sideband: Sideband) -> None:
        """From now on, this sideband hears what happens."""

    def detach(self, sideband: Sideband) -> None:
        """It hears nothing any more."""

    def command(self, event: Event) -> None:
        """Do what a sideband asks for; raise a L{ClientError} if it cannot be done."""


class Unheard:
    """A session by WebRTC: the simulator hears no sound, so nothing happens in it."""

    def attach(self, sideband: Sideband) -> None:
        """Has nothing to tell."""

    detach = attach

    def command(self, event: Event) -> None:
        """Does nothing."""


class Sideband(LiveDialogue):
    """A connection that hears all that happens in a session, and may control it."""

    def __init__(
        self, session: Session, new_id: Callable[[str], str], wake: Callable[[], None]
    ) -> None:
        """
        @param session: the session, which has started.
        @param new_id: makes an unused id that begins with the given word.
        @param wake: is called when something has happened.
        """
        super().__init__(new_id)
        self._session = session
        self._wake = wake
        self._waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        self._over = False
        session.attach(self)

    @property
    def speaking(self) -> bool:
        """Whether something has happened."""
        return bool(self._waiting)

    @property
    def ended(self) -> bool:
        """Whether C{session.closed} is said."""
        return self._over and not self._waiting

    def hear(self, events: list[Event], over: bool) -> None:
        """
        Take what happens in the session.

        @param over: whether the session is over with that.
        """
        self._waiting.extend(events)
        self._over = over
        self._wake()

    def advance(self) -> list[Event]:
        """Say all that has happened."""
        events = list(self._waiting)
        self._waiting.clear()
        return events

    def lost(self) -> None:
        """The client is gone; the session goes on."""
        self._session.detach(self)

    def _answer(self, event: Event) -> list[Event]:
        fields.one_of(fields.required(event, "type", str), COMMANDS, "type")
        self._session.command(event)
        return []
