"""
Spot the few server events that the relay reads among all that crosses.

An event's type stands near its start, so one search of that decides, and only what is wanted is
ever copied. A search may say yes to an event that has such a type further in, as of a nested
object: whoever parses it decides.

Source: RFC 8259, 2 and 7; OpenAI's Realtime reference, server events.
"""

from __future__ import annotations

import re
from collections.abc import Callable

WINDOW = 256
"""Bytes of a message that are searched."""

# A quote inside a string has a backslash before it, so what matches in JSON is a whole key and a
# whole value. Looked for behind the plain text, which the search skips to, that costs nothing: in
# front of it a search takes ten times as long.
_WANTED = re.compile(
    rb'"type"(?<!\\"type")[ \t\r\n]*:[ \t\r\n]*'
    rb'"(?:response\.(?:done|created)|error|conversation\.item\.input_audio_transcription\.completed)"'
)


class Peek:
    """
    A tap (see L{relay.session.frames.Tap}) for messages that are not masked.

    It keeps less than L{WINDOW} bytes of a message not yet decided on, nothing of one that is not
    wanted, and at most the cap of one that is.
    """

    def __init__(self, wanted: Callable[[bytes], None], cap: int = 262_144) -> None:
        """
        @param wanted: given the payload of each wanted event once it is whole; what it raises
            comes out of the call that ended the message.
        @param cap: bytes of payload; a larger event is forgotten.
        """
        self._wanted = wanted
        self._cap = cap
        self._found = False
        self._kept: bytearray | None = None  # of a message in flight that is or may be wanted

    def message(self, payload: bytes) -> None:
        """See a whole text message, with none in flight."""
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
        """Add a portion to the event that is wanted; hand it on if that was the last."""
        kept = self._kept
        if kept is None or len(kept) + end - start > self._cap:
            self._kept = None
            return
        kept += memoryview(data)[start:end]
        if final:
            self._kept = None
            self._wanted(bytes(kept))
