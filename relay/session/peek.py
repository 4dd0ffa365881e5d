"""
Spot the few server events that the relay reads among all that crosses.

An event's type stands near its start. One search of that start decides, and only events that are
wanted are copied. The search may also find the type of a nested object, so the parser has the last
word.

Source: RFC 8259, 2 and 7; OpenAI's Realtime reference, server events.
"""

from __future__ import annotations

import re
from collections.abc import Callable

WINDOW = 256
"""Bytes at the start of a message that are searched."""

# A quote inside a JSON string has a backslash before it, so a match is a whole key and a whole
# value. The pattern looks back for the backslash only behind the plain text "type", which a search
# can skip to. A look-behind in front of that text would make it ten times as slow.
_WANTED = re.compile(
    rb'"type"(?<!\\"type")[ \t\r\n]*:[ \t\r\n]*'
    rb'"(?:response\.(?:done|created)|error|conversation\.item\.input_audio_transcription\.completed)"'
)


class Peek:
    """
    A tap (see L{relay.session.frames.Tap}) for messages that are not masked.

    Of a message that is not decided on yet, it keeps less than L{WINDOW} bytes; of one that is not
    wanted, nothing; of one that is wanted, C{cap} bytes at most.
    """

    def __init__(self, wanted: Callable[[bytes], None], cap: int = 262_144) -> None:
        """
        @param wanted: is called with the payload of each wanted event once it is whole. An
            exception from it comes out of the call that ended the message.
        @param cap: most bytes of payload; a larger event is forgotten.
        """
        self._wanted = wanted
        self._cap = cap
        self._found = False
        self._kept: bytearray | None = None  # of a message in flight that is or may be wanted

    def message(self, payload: bytes) -> None:
        """See a whole text message. To be called while no other message is in flight."""
        self(payload, 0, len(payload), True, True)

    def __call__(
        self, data: bytes | memoryview, start: int, end: int, opening: bool, final: bool
    ) -> None:
        """See a portion of a text message."""
        if opening:
            self._found, self._kept = False, None
            if final or end - start >= WINDOW:
                # The ordinary case: decided at once, and nothing copied.
                if _WANTED.search(data, start, min(end, start + WINDOW)):
                    self._found, self._kept = True, bytearray()
                    self._keep(data, start, end, final)
                return
            self._kept = bytearray()
        if self._kept is None:
            return
        if not self._found:
            wanting = WINDOW - len(self._kept)
            if not final and end - start < wanting:
                self._kept += data[start:end]
                return
            if not _WANTED.search(self._kept + data[start : min(end, start + wanting)]):
                self._kept = None
                return
            self._found = True
        self._keep(data, start, end, final)

    def _keep(self, data: bytes | memoryview, start: int, end: int, final: bool) -> None:
        """Add a portion to the wanted event; hand the event on if that was its last portion."""
        kept = self._kept
        if kept is None or len(kept) + end - start > self._cap:
            self._kept = None
            return
        kept += memoryview(data)[start:end]
        if final:
            self._kept = None
            self._wanted(bytes(kept))
