"""
Read a request head before anything else sees it: with limits, strictly, in one pass.

Autobahn's own reader has no limits. It searches from the start at each chunk, splits lines at
C{\\x0b}, C{\\x1c} and C{\\x85}, and trims C{Host :}. Here a head that is not clean is refused.

Source: RFC 9112, 2 to 5; RFC 6455, 4.2.1.
"""

from __future__ import annotations

import re
from functools import cached_property
from urllib.parse import parse_qsl

from attrs import field, frozen

from relay.http.foreign import LONGEST, foreign, is_tls, is_undecided
from relay.rules.refusals import Refused, refuse

_END = b"\r\n\r\n"
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2."""

_REQUEST_LINE = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ((?:(?i:https?)://[!-.0-~]+)?/[!-~]*) HTTP/1\.([01])"
)
_ABSOLUTE = re.compile(r"(?i:https?)://([!-.0-~]+)(/[!-~]*)")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(r"[0-9]+")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
# Everything but HTAB below 0x20, and DEL.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_DECIDING = re.compile(
    "authorization|connection|content-length|host|origin|transfer-encoding|upgrade|openai-.*|sec-.*"
)
"""
The headers that decide something here, or go upstream. They must be ASCII. All others may hold raw
UTF-8, as cookies do, because only an embedder's site or C{admit} sees them. Autobahn, for which
0x85 ends a line, does not.
"""

ONE_HOST = "Send one valid Host header."
"""What is said to a client that does not."""


def _bad(message: str) -> Refused:
    return Refused(refuse("bad_request", message))


@frozen
class Head:
    """
    A whole, clean request head.

    @ivar method: the method, as sent.
    @ivar target: path and query (RFC 9112, 3.2.1).
    @ivar version: the minor version of HTTP/1: 0 or 1.
    @ivar fields: names in lower case and values, in their order; bytes beyond ASCII as Latin-1.
    @ivar query: the query parameters, decoded, in their order.
    @ivar subprotocols: the WebSocket subprotocols offered.
    """

    method: str
    # A key that stands in the query counts as none, and is one all the same.
    target: str = field(repr=lambda target: repr(target.partition("?")[0]))
    version: int
    fields: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """The query parameters, decoded, in their order."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @cached_property
    def _values(self) -> dict[str, list[str]]:
        values: dict[str, list[str]] = {}
        for name, value in self.fields:
            values.setdefault(name, []).append(value)
        return values

    def all(self, name: str) -> list[str]:
        """The values of all fields called C{name}, which must be in lower case."""
        return list(self._values.get(name, ()))

    def one(self, name: str) -> str | None:
        """The value of the one field C{name}; L{None} if there is none or more than one."""
        values = self._values.get(name, ())
        return values[0] if len(values) == 1 else None

    def elements(self, name: str) -> list[str]:
        """The elements of the comma-separated lists in the fields C{name}."""
        values = ",".join(self._values.get(name, ())).split(",")
        return [element for value in values if (element := value.strip(" \t"))]

    @property
    def wants_upgrade(self) -> bool:
        """Whether this asks for a WebSocket, in a valid way or not."""
        return "websocket" in (element.lower() for element in self.elements("upgrade"))

    @cached_property
    def subprotocols(self) -> list[str]:
        """The WebSocket subprotocols that are offered."""
        return self.elements("sec-websocket-protocol")

    @property
    def trace_id(self) -> str | None:
        """The trace id of C{traceparent} (W3C Trace Context, 3.2)."""
        match = _TRACEPARENT.fullmatch(self.one("traceparent") or "")
        return match[1] if match else None

    @property
    def body_length(self) -> int | None:
        """Bytes of the body that follows; L{None} if the head does not tell."""
        lengths = self.all("content-length") or ["0"]
        told = len(lengths) == 1 and _LENGTH.fullmatch(lengths[0])
        if not told or self.all("transfer-encoding"):
            return None
        # 18 digits tell that it is too long: int() refuses thousands of digits.
        return int(lengths[0].lstrip("0")[:18] or "0")

    def for_autobahn(self) -> bytes:
        """
        The same upgrade request, without all that Autobahn would judge.

        Origin, query, extensions and forwarding headers are missing: the relay judges them itself.
        It never negotiates extensions, because audio in base64 barely shrinks.
        """
        names = ("host", "sec-websocket-key")
        lines = ["GET / HTTP/1.1", "upgrade: websocket", "connection: upgrade"]
        lines += ["sec-websocket-version: 13", *(f"{name}: {self.one(name)}" for name in names)]
        if self.subprotocols:
            lines.append("sec-websocket-protocol: " + ",".join(self.subprotocols))
        return "\r\n".join(lines).encode("latin-1") + _END

    def for_site(self) -> bytes:
        """
        The same plain request, on a connection that ends with its answer. On a connection that is
        kept, L{HTTPChannel} would answer a later upgrade with 200.
        """
        others = (field for field in self.fields if field[0] != "connection")
        return self._lines(("connection", "close"), *others)

    def as_sent(self) -> bytes:
        """The same request, with nothing left out or added: an upgrade to pass on."""
        return self._lines(*self.fields)

    def _lines(self, *fields: tuple[str, str]) -> bytes:
        first = f"{self.method} {self.target} HTTP/1.{self.version}"
        lines = [first, *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join(lines).encode("latin-1") + _END


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    # This refuses "Host : x", folded lines (RFC 9112, 5.2) and lines without a colon.
    if not colon or not TOKEN.fullmatch(name):
        raise _bad("A header line is malformed.")
    name = name.lower()
    if not value.isascii() and _DECIDING.fullmatch(name):
        raise _bad(f"Send {name} in ASCII.")
    return name, value.strip(" \t")


def _request_line(line: str) -> tuple[str, str, str]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _bad("The request line is not METHOD /path HTTP/1.1.")
    method, target, version = match.groups()
    return method, target, version


def parse_head(raw: bytes, max_fields: int) -> Head:
    """
    Parse a head.

    @param raw: the head, with the blank line at its end.
    @return: a head with one valid Host; or, by HTTP/1.0, one without any, as a probe of HAProxy's.
    @raise Refused: with C{bad_request}, or C{head_too_large} for more than C{max_fields} lines.
    """
    lines = raw[: -len(_END)].split(b"\r\n")
    if _CONTROL.search(b"".join(lines)):
        raise _bad("The request head has control characters.")
    if len(lines) - 1 > max_fields:
        raise Refused(refuse("head_too_large", f"Send {max_fields} header lines at most."))
    first, *rest = (line.decode("latin-1") for line in lines)
    method, target, version = _request_line(first)
    fields = [_field(line) for line in rest]
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        # A server takes the host from such a target, whatever the Host says (RFC 9112, 3.2.2).
        host, target = absolute.groups()
        fields = [(name, host if name == "host" else value) for name, value in fields]
    head = Head(method, target, int(version), tuple(fields))
    hosts = [bool(_HOST.fullmatch(host)) for host in head.all("host")]
    # HTTP/1.0, which the probes of balancers speak, needs none (RFC 9112, 3.2).
    if hosts != [True] and (hosts or head.version):
        raise _bad(ONE_HOST)
    return head


class HeadReader:
    """
    Collects a head from the chunks of a stream, and searches each byte once.

    @ivar started: whether a byte has come.
    @ivar bodiless: whether the method is HEAD, whose answers have no body (RFC 9110, 9.3.2); known
        even if the head is malformed or never whole.
    @ivar is_tls: whether what came is TLS, whose client no answer in clear can tell anything.
    @ivar rest: once the head is whole, the bytes that followed it.
    """

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        self._max_bytes = max_bytes
        self._max_fields = max_fields
        self._data = bytearray()
        self.started = self.bodiless = self.is_tls = False
        self._has_begun = self._has_line = False
        self.rest = b""

    def feed(self, data: bytes) -> Head | None:
        """
        Take a chunk; return the head once it is whole.

        @raise Refused: as of L{parse_head}; with C{head_too_large} also for too many bytes.
        """
        self.started = True
        searched = max(0, len(self._data) - len(_END) + 1)
        self._data += data
        if not self._has_begun:
            if is_undecided(bytes(self._data[:LONGEST])):
                return None
            searched = 0
            self._begin()
        self.bodiless = self._data.startswith(b"HEAD ")
        if not self._has_line:
            # Not beyond the limit: what is found must not depend on how the stream was cut.
            self._look_at_first(bytes(self._data[: min(LONGEST, self._max_bytes)]))
        end = self._data.find(_END, searched)
        if end < 0 and len(self._data) <= self._max_bytes:
            return None
        if end < 0 or end + len(_END) > self._max_bytes:
            raise Refused(refuse("head_too_large"))
        raw = bytes(self._data[: end + len(_END)])
        self.rest = bytes(self._data[end + len(_END) :])
        self._data.clear()  # this reader may live as long as a session
        return parse_head(raw, self._max_fields)

    def _begin(self) -> None:
        """Skip an empty line, as some clients send behind a body (RFC 9112, 2.2)."""
        self._has_begun = True
        # The PROXY protocol begins with two of them.
        if foreign(bytes(self._data[:LONGEST])) is None:
            self._data = self._data.removeprefix(b"\r\n")

    def _look_at_first(self, first: bytes) -> None:
        """Refuse at once what is no HTTP: the client may wait for an answer before it goes on."""
        if fault := foreign(first):
            self.is_tls = is_tls(first)
            raise _bad(fault)
        line, end, _ = self._data.partition(b"\n")
        self._has_line = bool(end)
        line = line.removesuffix(b"\r")
        if end and len(line) < self._max_bytes:
            _request_line(line.decode("latin-1"))
