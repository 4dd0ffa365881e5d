"""
What upstream tells of a session: its usage, its responses, and how soon their audio comes.

Source: OpenAI's Realtime reference, server events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from relay.rules.events import MAX_ID, is_error
from relay.rules.usage import (
    TRANSCRIBED,
    Usage,
    seconds_of,
    session_seconds_of,
    status_of,
    tokens_of,
    usage_in,
)
from relay.rules.values import parse_json
from relay.session.peek import Peek
from relay.telemetry.records import HoldRecord

TOLD = ("response.done", "error", TRANSCRIBED, "session.usage.updated", "session.closed")
"""The events that listeners are told of, besides errors without a type."""

EXPLAINED_SECONDS = 1.0
"""Seconds for which an C{error} or C{session.closed} of upstream's explains its Close."""

MAX_AWAITED = 64
"""Most responses whose first audio is awaited; further ones are not timed."""


class TallyOwner(Protocol):
    """What is told of what is tallied."""

    def event(self, hold: HoldRecord, event: Mapping[str, Any]) -> None:
        """Upstream sent one of the events in L{TOLD}."""

    def first_audio(self, hold: HoldRecord, seconds: float) -> None:
        """The first audio of a response came, so long after its beginning."""


class Tally:
    """
    Adds up what the events of one session tell.

    The time to a response's first audio begins with C{response.created}, or with
    C{input_audio_buffer.speech_stopped} if that comes later.

    @param spent: is told what the session is billed for so far, with each event that may add to it.
    @ivar tokens: by kind (see L{relay.rules.usage}).
    @ivar seconds: by kind.
    @ivar responses: how many ended, by status.
    @ivar turns: how often speech ended.
    """

    def __init__(
        self,
        hold: HoldRecord,
        clock: IReactorTime,
        owner: TallyOwner,
        spent: Callable[[Usage], None],
    ) -> None:
        self.tokens: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.responses: dict[str, int] = {}
        self.turns = 0
        self._hold = hold
        self._clock = clock
        self._owner = owner
        self._spent = spent
        self._open = 0
        self._awaited: dict[str, float] = {}  # since when, by the response's id
        self._explained: float | None = None

    def peek(self) -> Peek:
        """What spots the events among all that upstream sends."""
        return Peek(self._event, audio=self._audio, awaited=self._awaited)

    @property
    def is_responding(self) -> bool:
        """Whether a response is known to be under way."""
        return self._open > 0

    def explains(self, now: float) -> bool:
        """Whether upstream has just said itself why the session ends."""
        return self._explained is not None and now - self._explained <= EXPLAINED_SECONDS

    def _event(self, payload: bytes) -> None:
        event = parse_json(payload)
        if not isinstance(event, dict):
            return
        kind = event.get("type")
        if kind == "response.created":
            self._created(_id_of(event))
        elif kind == "response.done":
            self._done(event)
        elif kind == "input_audio_buffer.speech_stopped":
            self.turns += 1
            self._awaited.update(dict.fromkeys(self._awaited, self._clock.seconds()))
        elif kind == "session.closed" or is_error(event):
            self._explained = self._clock.seconds()
        if kind in TOLD or is_error(event):
            self._bill(event)
            self._owner.event(self._hold, event)

    def _created(self, response: str) -> None:
        self._open += 1
        if len(self._awaited) < MAX_AWAITED:
            self._awaited[response] = self._clock.seconds()

    def _done(self, event: Mapping[str, Any]) -> None:
        self._open = max(0, self._open - 1)
        self._awaited.pop(_id_of(event), None)
        status = status_of(event)
        self.responses[status] = self.responses.get(status, 0) + 1

    def _bill(self, event: Mapping[str, Any]) -> None:
        for kind, count in tokens_of(event).items():
            self.tokens[kind] = self.tokens.get(kind, 0) + count
        for kind, seconds in seconds_of(event).items():
            self.seconds[kind] = self.seconds.get(kind, 0.0) + seconds
        self.seconds.update(session_seconds_of(event))
        self._spent(usage_in(self.tokens, self.seconds))

    def _audio(self, response: str) -> None:
        since = self._awaited.pop(response, None)
        if since is not None:
            self._owner.first_audio(self._hold, self._clock.seconds() - since)


def _id_of(event: Mapping[str, Any]) -> str:
    """The id of an event's response; C{""} if it has none."""
    response = event.get("response")
    found = response.get("id") if isinstance(response, dict) else None
    return found[:MAX_ID] if isinstance(found, str) else ""
