"""
What one connection to the simulator talks with: client events in, server events out, without I/O.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from relay.simulator import fields
from relay.simulator.faults import Fault
from relay.simulator.fields import ClientError, Event

Answers = Mapping[str, Callable[[Any, Event], list[Event]]]
"""The type of a client event to the method that answers it."""


class Dialogue(ABC):
    """
    One session as the server sees it.

    L{receive} answers at once. While L{speaking}, the owner calls L{advance} for the rest, at its
    own pace. So there is something that the client can interrupt.

    @cvar answers: the client events that there are, each with its method.
    @ivar fault: what a client asked for that was to see its app fail.
    """

    answers: ClassVar[Answers] = {}
    fault: Fault | None = None

    def __init__(self, new_id: Callable[[str], str]) -> None:
        """
        @param new_id: makes an unused id that begins with the given word.
        """
        self._new_id = new_id

    @property
    @abstractmethod
    def speaking(self) -> bool:
        """Whether L{advance} has something to say."""

    @property
    def ended(self) -> bool:
        """Whether everything is said, and the owner closes the connection."""
        return False

    def opening(self) -> list[Event]:
        """The events that start the session."""
        return []

    def receive(self, payload: bytes, is_binary: bool = False) -> list[Event]:
        """
        Answer one message of the client. No message makes this raise an exception.

        @return: the events to send now.
        """
        event: Event = {}
        try:
            event = fields.parse(payload, is_binary)
            answer = self._answer(event)
        except ClientError as error:
            answer = [self._error(error, event.get("event_id"))]
        return self._stamped(answer)

    def refused(self, code: str, message: str) -> list[Event]:
        """The event that tells why there is no session."""
        return self._stamped([self._error(ClientError(code, message), None)])

    @abstractmethod
    def advance(self) -> list[Event]:
        """Say the next part of what is to be said."""

    # Most need not know.
    def lost(self) -> None:  # noqa: B027
        """The connection is gone."""

    def _answer(self, event: Event) -> list[Event]:
        kind = fields.required(event, "type", str)
        fields.one_of(kind, tuple(self.answers), "type")
        return self.answers[kind](self, event)

    def _error(self, error: ClientError, about: object) -> Event:
        return fields.error_event(error.code, error.message, error.param, about)

    def _stamped(self, events: list[Event]) -> list[Event]:
        # The type stays the first key, because readers recognise events by their first bytes.
        return [
            {"type": event["type"], "event_id": self._new_id("event"), **event} for event in events
        ]
