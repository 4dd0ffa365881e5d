"""
What a proxy tells of the client it speaks for: its address, and by which scheme it came.

Source: RFC 7239, 4 to 6, for C{Forwarded}. X-Forwarded-For and -Proto have no standard; they are
read as today's proxies write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from relay.http.head import Head
from relay.rules.addresses import is_address, plain_address

SECURE = {"https": True, "wss": True, "http": False, "ws": False}
"""Whether a scheme is by TLS; some proxies name the WebSocket's."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # nosec B105
_QUOTED = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_PAIR = re.compile(rf"({_TOKEN})=({_TOKEN}|{_QUOTED})")
_BETWEEN = re.compile(r"[ \t]*([;,])[ \t;,]*")
_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_NODE = re.compile(rf"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]|(unknown|_[A-Za-z0-9._-]+)){_PORT}", re.I)
_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")


class Malformed(ValueError):
    """A header is not what it should be; the text names it."""


@frozen
class Hop:
    """
    One client of one proxy.

    @ivar address: its address; L{None} if the proxy does not know it, or hides it.
    @ivar secure: whether it came by TLS; L{None} if that is not told.
    """

    address: str | None
    secure: bool | None = None


def forwarded(head: Head) -> list[Hop]:
    """
    The hops of C{Forwarded}, the nearest first.

    @raise Malformed: if any of it is, because a quote that is open hides what follows.
    """
    found = [
        Hop(_node(pairs["for"], "Forwarded") if "for" in pairs else None, _secure_in(pairs))
        for pairs in _elements(", ".join(head.all("forwarded")).strip(" \t,;"))
    ]
    return found[::-1]


def forwarded_for(head: Head) -> Iterator[Hop]:
    """
    The hops of C{X-Forwarded-For}, the nearest first.

    @raise Malformed: at the hop that is. Those behind it are the client's own words, perhaps.
    """
    for text in reversed(head.elements("x-forwarded-for")):
        text = text.strip('"')
        is_bare = is_address(text, version=6)  # which RFC 7239 wants in brackets
        yield Hop(plain_address(text) if is_bare else _node(text, "X-Forwarded-For"))


def forwarded_proto(head: Head) -> bool | None:
    """
    Whether the nearest proxy's client came by TLS, as C{X-Forwarded-Proto} says.

    @raise Malformed: if it names another scheme.
    """
    told = head.elements("x-forwarded-proto")
    return _secure(told[-1], "X-Forwarded-Proto") if told else None


def forwarded_id(head: Head) -> str | None:
    """
    The request's id, which a proxy has given it.

    @raise Malformed: if that cannot stand in a log line.
    """
    if not head.all("x-request-id"):
        return None
    told = head.one("x-request-id")
    if told is None or not _ID.fullmatch(told):
        raise Malformed("X-Request-Id")
    return told


def _elements(text: str) -> Iterator[dict[str, str]]:
    """The elements of C{Forwarded}, each with its parameters."""
    pairs: dict[str, str] = {}
    at, end = 0, len(text)
    while at < end:
        pair = _PAIR.match(text, at)
        name = pair and pair[1].lower()
        if pair is None or name is None or name in pairs:
            raise Malformed("Forwarded")
        pairs[name] = _unquoted(pair[2])
        between = _BETWEEN.match(text, pair.end())
        at = between.end() if between else pair.end()
        if between is None and at < end:
            raise Malformed("Forwarded")
        if between is None or "," in between[0]:
            yield pairs
            pairs = {}


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _secure_in(pairs: dict[str, str]) -> bool | None:
    return _secure(pairs["proto"], "Forwarded") if "proto" in pairs else None


def _secure(scheme: str, header: str) -> bool:
    if scheme.lower() not in SECURE:
        raise Malformed(header)
    return SECURE[scheme.lower()]


def _node(text: str, header: str) -> str | None:
    """The address in a node; L{None} if it is unknown or hidden."""
    match = _NODE.fullmatch(text)
    if match is None:
        raise Malformed(header)
    version_4, version_6, hidden = match.groups()
    if hidden is not None:
        return None
    if not is_address(version_4 or version_6, version=4 if version_4 else 6):
        raise Malformed(header)
    return plain_address(version_4 or version_6)
