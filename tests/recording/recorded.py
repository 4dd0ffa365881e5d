"""What the tests of recordings share."""

from __future__ import annotations

from collections.abc import Sequence

from relay.recording.lines import (
    Closed,
    Cut,
    Header,
    Message,
    Sender,
    header_line,
    last_line,
    message_line,
)
from relay.recording.reading import Recording

HEADER = Header(
    relay="1.0",
    began="2026-02-03T04:05:06Z",
    id="req_1",
    path="/v1/realtime",
    model="gpt-realtime",
    subject="shop",
    upstream="openai",
    payloads=True,
)


def said(at: float, sender: Sender, kind: str) -> Message:
    """An event of this type, and nothing in it."""
    payload = b'{"type":"%s"}' % kind.encode()
    return Message(at, sender, kind, len(payload), payload)


def recording(*messages: Message, end: Closed | Cut | None = None) -> Recording:
    """A recording of these; by default the client closed it when the last one was said."""
    at = messages[-1].at if messages else 0.0
    return Recording(HEADER, messages, end or Closed(at, "client", 1000))


def file_of(messages: Sequence[Message], end: Closed | Cut | None) -> bytes:
    """The bytes of a file."""
    lines = [header_line(HEADER), *map(message_line, messages)]
    return b"".join([*lines, last_line(end)] if end else lines)
