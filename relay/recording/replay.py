"""
When each message of a recording is said again, as a state machine without I/O.

A message of the upstream's waits for those of the client that came before it in the recording: for
as many of each type, whatever else the client says. Then the recorded time since the message before
it has to pass. So a client that does what the recorded one did gets the same, and one that is slow
or does something else does not get an answer before its question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from relay.recording.lines import Closed, Message
from relay.recording.reading import Recording


@frozen
class Pause:
    """Nothing, for so many seconds; or until the client says something."""

    seconds: float


@frozen
class Awaits:
    """
    Nothing, until the client says this.

    @ivar line: where it stands in the file.
    """

    message: Message
    line: int


@frozen
class Over:
    """Nothing more: the recording is at its end, and if that was the upstream's, it is time."""


Step = Message | Pause | Awaits | Over


class Replay:
    """
    One replay of a recording.

    @param now: the time at which the session opens; here and below by any clock.
    """

    def __init__(self, recording: Recording, now: float) -> None:
        self._messages: Sequence[Message] = recording.messages
        self._end = recording.end
        self._next = 0
        self._passed = now  # when the message before the next one was said, by either side
        self._at = 0.0  # when that was so in the recording
        self._ahead: Counter[str | None] = Counter()  # what the client said and no turn came yet
        self._known = {each.type for each in self._messages if each.sender == "client"}

    @property
    def line(self) -> int:
        """Where the next message, or the end, stands in the file."""
        return self._next + 2

    def heard(self, kind: str | None) -> None:
        """The client has said something of this type."""
        if kind in self._known:
            self._ahead[kind] += 1

    def step(self, now: float) -> Step:
        """What is to be done now: say a message and ask again, or wait."""
        while self._next < len(self._messages):
            message = self._messages[self._next]
            if message.sender == "client":
                if not self._ahead[message.type]:
                    return Awaits(message, self.line)
                self._ahead[message.type] -= 1
                self._pass(message, now)
                continue
            due = self._passed + message.at - self._at
            if due > now:
                return Pause(due - now)
            self._pass(message, due)
            return message
        if isinstance(self._end, Closed) and self._end.by != "upstream":
            return Over()
        due = self._passed + self._end.at - self._at
        return Pause(due - now) if due > now else Over()

    def _pass(self, message: Message, when: float) -> None:
        self._next += 1
        self._passed, self._at = when, message.at
