"""
A plain C{POST} to the simulator, read without the relay's own reader: an error in that must not be
hidden by the same error here.
"""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from http.client import HTTPException, parse_headers
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

MAX_BODY = 256 * 1024
"""Most bytes of a body."""

METHOD = b"POST "


class Unreadable(ValueError):
    """It is no request that the simulator reads; the text says why."""


@frozen
class Posted:
    """
    One whole request.

    @ivar path: its path, without the query.
    @ivar query: the parameters of its query.
    @ivar headers: its header fields, found by their names in any case.
    """

    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes

    @property
    def kind(self) -> str:
        """The type of its body, without parameters."""
        return str(self.headers.get_content_type())

    def parts(self) -> dict[str, str]:
        """The fields of a form with several parts, by their names."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode("latin-1")
        whole = BytesParser().parsebytes(head + self.body)
        found = {}
        for part in whole.get_payload() if whole.is_multipart() else ():
            assert isinstance(part, Message), "a form of several parts has parts"
            value = part.get_payload(decode=True)
            name = part.get_param("name", header="content-disposition")
            found[str(name)] = value.decode("utf-8") if isinstance(value, bytes) else ""
        return found


def posted_in(data: bytes) -> Posted | None:
    """
    The request in what has come so far; L{None} while it is not whole.

    @raise Unreadable: if it never will be, or is too large.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    line, _, fields = head.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    try:
        headers = parse_headers(BytesIO(fields + end))
        length = int(headers.get("content-length", "0"))
    except (HTTPException, ValueError):
        raise Unreadable("Send well-formed headers, with a Content-Length.") from None
    if len(words) != 3 or not 0 <= length <= MAX_BODY:
        raise Unreadable(f"Send one request line, and a body of at most {MAX_BODY} bytes.")
    if len(body) < length:
        return None
    target = urlsplit(words[1])
    return Posted(target.path, parse_qs(target.query), headers, body[:length])
