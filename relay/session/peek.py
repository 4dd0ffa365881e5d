"""
Spot the few server events that the relay reads among all that crosses.

An event's type mostly stands near its start, behind other strings at most. One match of that start
decides, and of an event that is not wanted nothing is copied. Some servers put the type last, or
behind an object: such an event is kept until its end is there. The search may also find the type of
a nested object, so the parser has the last word.

Source: RFC 8259, 2 and 7; OpenAI's Realtime reference, server events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

WINDOW = 256
"""Bytes at the start of a message, and at its end, where its type mostly stands."""

_WANTED = (
    rb"(response\.(?:done|created)|error|session\.(?:closed|usage\.updated)"
    rb"|input_audio_buffer\.speech_stopped"
    rb"|conversation\.item\.input_audio_transcription\.completed)"
)
_AUDIO = rb"(response\.(?:output_)?audio\.delta)"  # the beta's name is the one without "output_"
_EVENT, _DELTA = 1, 2  # the groups of both

# An event's own type behind its first members, if these are plain strings and numbers.
_AHEAD = re.compile(
    rb'\{ ?+(?:"(?!type")[^"\\]*+": ?+(?:"[^"\\]*+"|[-+.\w]++), ?+)*+'
    rb'"type": ?+"(?:' + _WANTED + rb"|" + _AUDIO + rb'|[^"\\]*+)"'
)

# A quote inside a JSON string has a backslash before it, so a match is a whole key and a whole
# value. The pattern looks back for the backslash only behind the plain text "type", which a search
# can skip to. A look-behind in front of that text would make it ten times as slow.
_KEY = rb'"type"(?<!\\"type")[ \t\r\n]*+:[ \t\r\n]*+'
_LAST = re.compile(
    _KEY + rb'"(?:' + _WANTED + rb"|" + _AUDIO + rb'|[^"\\]*+)"[ \t\r\n]*+\}[ \t\r\n]*+\Z'
)
_ANYWHERE = re.compile(_KEY + rb'"(?:' + _WANTED + rb"|" + _AUDIO + rb')"')

# An error without a type, which is looked for only where no type is found.
_UNTYPED = re.compile(
    rb'\s*+\{\s*+(?:"(?!type"|error")[^"\\]*+"\s*+:\s*+(?:"[^"\\]*+"|[-+.\w]++)\s*+,\s*+)*+'
    rb'"error"\s*+:\s*+["{]'
)

_RESPONSE = re.compile(rb'"response_id": ?+"([^"\\]*+)"')


def _no_audio(response: str) -> None:
    """Stands in where no audio is awaited."""


class Peek:
    """
    A tap (see L{relay.session.frames.Tap}) for messages that are not masked.

    Of a message whose type stands at its start it keeps less than L{WINDOW} bytes, and nothing once
    it is known that it is not wanted. Of any other it keeps C{cap} bytes at most.
    """

    def __init__(
        self,
        wanted: Callable[[bytes], None],
        cap: int = 262_144,
        audio: Callable[[str], None] = _no_audio,
        awaited: Collection[str] = (),
    ) -> None:
        """
        @param wanted: is called with the payload of each wanted event once it is whole. An
            exception from it comes out of the call that ended the message.
        @param cap: most bytes of payload; a larger event is forgotten.
        @param audio: is called with the id of the response, C{""} if it is not found, for each
            delta of its audio while C{awaited} is not empty.
        """
        self._wanted = wanted
        self._audio = audio
        self._awaited = awaited
        self._cap = cap
        self._judged = False  # whether the start of the message in flight was looked at
        self._found = False  # whether that message is wanted
        self._kept: bytearray | None = None  # of a message that is or may be wanted

    def message(self, payload: bytes) -> None:
        """See a whole text message. To be called while no other message is in flight."""
        self(payload, 0, len(payload), True, True)

    def __call__(
        self, data: bytes | memoryview, start: int, end: int, opening: int, final: bool
    ) -> None:
        """See a portion of a text message."""
        if opening:
            self._judged = self._found = False
            self._kept = None
            if final or end - start >= WINDOW:
                # The ordinary case: decided at once, and nothing copied.
                if self._dismisses(data, start, end):
                    return
                if final and not self._found and not self._finds_late(data, start, end):
                    return
            self._kept = bytearray()
        kept = self._kept
        if kept is None:
            return
        if not self._judged:
            wanting = WINDOW - len(kept)
            if not final and end - start < wanting:
                kept += data[start:end]
                return
            head = kept + data[start : min(end, start + wanting)]
            if self._dismisses(head, 0, len(head)):
                self._kept = None
                return
        self._keep(kept, data, start, end, final)

    def _dismisses(self, data: bytes | bytearray | memoryview, start: int, end: int) -> bool:
        """Look at the start of a message; return whether it is known not to be wanted."""
        type_ = _AHEAD.match(data, start, min(end, start + WINDOW))
        if type_ is not None and type_.lastindex != _EVENT:
            if self._awaited and type_.lastindex == _DELTA:
                self._hear(data, start, end)
            return True
        self._judged, self._found = True, type_ is not None
        return False

    def _finds_late(self, data: bytes | bytearray | memoryview, start: int, end: int) -> bool:
        """Look at all of a message whose start says nothing; return whether it may be wanted."""
        type_ = _LAST.search(data, max(start, end - WINDOW), end) or _ANYWHERE.search(
            data, start, end
        )
        if type_ is not None and type_.lastindex == _DELTA and self._awaited:
            self._hear(data, start, end)
        if type_ is None:
            self._found = _UNTYPED.match(data, start, min(end, start + WINDOW)) is not None
        else:
            self._found = type_.lastindex == _EVENT
        return self._found

    def _hear(self, data: bytes | bytearray | memoryview, start: int, end: int) -> None:
        found = _RESPONSE.search(data, start, min(end, start + WINDOW))
        self._audio("" if found is None else found[1].decode("utf-8", "replace"))

    def _keep(
        self, kept: bytearray, data: bytes | memoryview, start: int, end: int, final: bool
    ) -> None:
        """Add a portion; hand the event on if that was its last portion and it is wanted."""
        if len(kept) + end - start > self._cap:
            self._kept = None
            return
        kept += memoryview(data)[start:end]
        if final:
            self._kept = None
            if self._found or self._finds_late(kept, 0, len(kept)):
                self._wanted(bytes(kept))
