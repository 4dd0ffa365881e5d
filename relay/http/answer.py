"""
Read upstream's answer to the upgrade request. A 101 goes on to Autobahn as it is. Any other answer
is read with as much of its body as may explain the refusal.

Autobahn's own reader has no limit, and ignores the body. It decodes the head as UTF-8, so a 101
that is not UTF-8 is malformed here.

Source: RFC 9112, 4 to 7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

MAX_HEAD = 64 * 1024
"""Most bytes of a head; a longer one is malformed."""

MAX_BODY = 64 * 1024
"""Bytes of a body that are read; the rest is ignored."""

_END = b"\r\n\r\n"
_STATUS = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]{0,1024}\r\n")


class MalformedAnswer(Exception):
    """This is not an HTTP/1 answer. The text says why, and quotes nothing of it."""


@frozen
class Answer:
    """
    An HTTP answer.

    @ivar status: 100 to 599.
    @ivar headers: names in lower case to values; of a repeated header, the first value.
    @ivar body: the body as far as it was read, its chunks joined.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def _parse(head: bytes) -> Answer:
    first, *rest = head.decode("latin-1").split("\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise MalformedAnswer("no HTTP")
    headers: dict[str, str] = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return Answer(int(status[1]), headers)


def _check_text(head: bytes) -> None:
    """
    Check that the head is UTF-8: Autobahn decodes it as that for a debug line, and would raise.
    """
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedAnswer("a 101 that is not UTF-8") from None


def _unchunk(data: bytes) -> tuple[bytes, bool]:
    """The payload of the chunks that are there, and whether the last chunk is there."""
    parts: list[bytes] = []
    at = 0
    while (size := _CHUNK.match(data, at)) is not None:
        length = int(size[1], 16)
        if length == 0:
            return b"".join(parts), True
        parts.append(data[size.end() : size.end() + length])
        at = size.end() + length + 2
    return b"".join(parts), False


def _is_chunked(head: Answer) -> bool:
    return head.headers.get("transfer-encoding", "").lower() == "chunked"


def _length(head: Answer) -> int | None:
    if head.status in (204, 304):
        return 0  # RFC 9110, 8.6: these have no body
    length = head.headers.get("content-length", "")
    return int(length[:9]) if length.isdecimal() else None


class AnswerReader:
    """
    Collects an answer from the chunks of a stream.

    @ivar switching: once the head of a 101 is whole, its bytes and all that followed; else L{None}.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: Answer | None = None
        self.switching: bytes | None = None

    def feed(self, data: bytes) -> bool:
        """
        Take a chunk; return whether the answer is complete.

        @raise MalformedAnswer: if it is no HTTP/1 answer, or its head is too long.
        """
        self._data += data
        while self._head is None:
            end = self._data.find(_END, max(0, len(self._data) - len(data) - len(_END)))
            length = len(self._data) if end < 0 else end + len(_END)
            if length > MAX_HEAD:
                raise MalformedAnswer(f"a head over {MAX_HEAD} bytes")
            if end < 0:
                return False
            self._take_head(length)
        return self.switching is not None or self._body_is_complete(self._head)

    def _take_head(self, end: int) -> None:
        raw = bytes(self._data[: end - len(_END)])
        head = _parse(raw)
        if head.status == 101:
            _check_text(raw)
            self.switching = bytes(self._data)
        if head.status >= 200 or head.status == 101:
            self._head = head
        # Any other 1xx is followed by the answer proper (RFC 9110, 15.2).
        del self._data[:end]

    def _body_is_complete(self, head: Answer) -> bool:
        if len(self._data) >= MAX_BODY:
            return True
        if _is_chunked(head):
            return _unchunk(bytes(self._data))[1]
        length = _length(head)
        return length is not None and len(self._data) >= length

    @property
    def rest(self) -> bytes:
        """The bytes that came behind the head, whether they are a body or not."""
        return bytes(self._data)

    def answer(self) -> Answer | None:
        """The answer as far as it was read; L{None} until its head is whole."""
        if self._head is None:
            return None
        body = bytes(self._data[:MAX_BODY])
        body = _unchunk(body)[0] if _is_chunked(self._head) else body[: _length(self._head)]
        return Answer(self._head.status, self._head.headers, body)
