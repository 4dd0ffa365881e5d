"""
What stands in a recording: one JSON object a line.

The first line tells whose session it was, each other line is a message, and the last tells how the
session ended, or why the recording ends before it.

Source: RFC 8259; jsonlines.org.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Literal

from attrs import frozen

FORMAT = 1
"""The version of the format. A reader refuses any other."""

LATEST = 10_000_000.0
"""Most seconds that a session may last, by the settings."""

LARGEST = 2**30
"""Most bytes of a message, by the settings."""

Sender = Literal["client", "upstream"]
Closer = Literal["client", "upstream", "relay"]


@frozen(kw_only=True)
class Header:
    """
    Whose session it was.

    @ivar relay: the relay's version.
    @ivar began: date and time of its opening, in UTC (RFC 3339).
    @ivar id: the request's id, as in the log.
    @ivar path: the path of the request, which tells the kind of session.
    @ivar payloads: whether the messages have their payloads.
    """

    relay: str
    began: str
    id: str
    path: str | None = None
    model: str | None = None
    subject: str | None = None
    upstream: str | None = None
    payloads: bool = False


@frozen
class Message:
    """
    A message that crossed.

    @ivar at: seconds since the session was opened.
    @ivar type: the event's type; L{None} if it has none.
    @ivar size: bytes of its payload.
    @ivar payload: L{None} if it was not recorded.
    """

    at: float
    sender: Sender
    type: str | None
    size: int
    payload: bytes | None = None
    is_binary: bool = False


@frozen
class Closed:
    """
    The session's end.

    @ivar code: the code of the first Close; L{None} if it had none.
    """

    at: float
    by: Closer
    code: int | None


@frozen
class Cut:
    """
    The session went on behind this, and the recording does not.

    @ivar why: in a few words.
    """

    at: float
    why: str


def header_line(header: Header) -> bytes:
    """The first line."""
    return _line(
        {
            "recording": FORMAT,
            "relay": header.relay,
            "began": header.began,
            "id": header.id,
            "path": header.path,
            "model": header.model,
            "subject": header.subject,
            "upstream": header.upstream,
            "payloads": header.payloads,
        }
    )


def message_line(message: Message) -> bytes:
    """The line of a message."""
    told: dict[str, Any] = {
        "at": round(message.at, 3),
        "from": message.sender,
        "type": message.type,
        "bytes": message.size,
    }
    if message.is_binary:
        told["binary"] = True
    if message.payload is not None:
        told["payload"] = _text(message.payload, message.is_binary)
    return _line(told)


def last_line(end: Closed | Cut) -> bytes:
    """The last line."""
    at = round(end.at, 3)
    if isinstance(end, Cut):
        return _line({"at": at, "cut": end.why})
    return _line({"at": at, "closed_by": end.by, "code": end.code})


def _text(payload: bytes, is_binary: bool) -> str:
    """
    The payload as a string, from which each byte comes back: the relay passes on what a peer calls
    text, and it need not be UTF-8.
    """
    if is_binary:
        return b64encode(payload).decode("ascii")
    return payload.decode("utf-8", "surrogateescape")


def as_bytes(text: str) -> bytes:
    """
    The payload of a text message, as it was.

    @raise ValueError: if no payload gives this text.
    """
    return text.encode("utf-8", "surrogateescape")


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n"
