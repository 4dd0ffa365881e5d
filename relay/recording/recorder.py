"""One session's recording, without I/O: what crossed in, lines out, within a bound."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attrs import evolve

from relay.recording.lines import (
    Closed,
    Cut,
    Header,
    Message,
    header_line,
    last_line,
    message_line,
)
from relay.rules.scrub import redact

RESERVE = 512
"""Bytes that are kept for the last line, which is shorter."""

FULL = "record_bytes is reached"


class Recorder:
    """
    Makes the lines. None follow the last one.

    @ivar is_over: whether the last line is made.
    @ivar is_whole: whether that is the session's own end.
    @param most: bytes of all lines.
    @param secrets: a message that shows one of them goes without its payload.
    @param type_of: finds the type of an event, given its beginning and its size.
    """

    def __init__(
        self,
        header: Header,
        most: int,
        secrets: Collection[str],
        type_of: Callable[[bytes, int], str | None],
    ) -> None:
        self.is_over = self.is_whole = False
        self._header = header
        self._left = most - RESERVE
        self._secrets = secrets
        self._type_of = type_of

    def begin(self) -> bytes:
        """The first line."""
        return self._counted(header_line(self._header))

    def crossed(self, message: Message) -> bytes:
        """
        The line of a message; or the last line, if there is no room for that.

        @param message: without its type, and with all or the beginning of its payload. What is only
            its beginning is not told.
        """
        if self.is_over:
            return b""
        beginning = message.payload or b""
        told = evolve(
            message,
            type=self._type_of(beginning, message.size),
            payload=self._told(beginning) if len(beginning) == message.size else None,
        )
        line = message_line(told)
        if len(line) > self._left:
            return self.end(Cut(message.at, FULL))
        return self._counted(line)

    def end(self, end: Closed | Cut) -> bytes:
        """The last line."""
        if self.is_over:
            return b""
        self.is_over, self.is_whole = True, isinstance(end, Closed)
        return last_line(end)

    def _counted(self, line: bytes) -> bytes:
        self._left -= len(line)
        return line

    def _told(self, payload: bytes) -> bytes | None:
        if not self._header.payloads:
            return None
        text = payload.decode("utf-8", "replace")
        return payload if redact(text, self._secrets) == text else None
