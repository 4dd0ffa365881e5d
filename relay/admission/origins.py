"""
Which Host and which Origin a listener answers to.

Listening on loopback does not protect from web pages. A page may connect to a listener on the
browser's machine (cross-site hijacking), or have its own name resolve to loopback (DNS rebinding).

Source: RFC 6455, 10.2; RFC 6454, 4.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from relay.http.head import Head
from relay.rules.addresses import DEFAULT_PORTS, UNNAMED_ORIGINS, is_loopback

READING = ("GET", "HEAD")
"""The methods that change nothing."""

OWN_SITES = ("same-origin", "none")
"""What C{Sec-Fetch-Site} is for a page of the same origin, and for no page at all."""

PAGES = ("http", "https")
"""The schemes of pages that a web server gives out."""


@lru_cache(256)
def host_name(host: str) -> str:
    """The name in a Host header, in lower case, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def host_is_allowed(host: str, hosts: Collection[str]) -> bool:
    """
    Whether a listener without authentication answers to this Host header.

    @param hosts: names from the settings, in lower case.
    """
    name = host_name(host)
    return is_loopback(name) or name in hosts


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port; L{None} for text that is no origin."""
    if text in UNNAMED_ORIGINS:
        return text, "", None
    try:
        parts = urlsplit(text)
        if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in text:
            return None
        return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def origin_is_allowed(
    origin: str, *, host: str, secure: bool, loopback: bool, origins: Collection[str]
) -> bool:
    """
    Whether a page of this Origin may open a session: scheme, host and port must all match.

    @param host: the Host header. Pages of the relay's own origin are allowed.
    @param secure: whether the listener speaks TLS.
    @param loopback: whether the listener is on loopback. Then loopback pages on any port are
        allowed. One without a host, as C{null}, is none of them.
    @param origins: further origins, from the settings.
    """
    asked = _origin(origin)
    if asked is None:
        return False
    if loopback and asked[0] in PAGES and is_loopback(asked[1]):
        return True
    return is_own_origin(origin, host, secure) or asked in {_origin(each) for each in origins}


def is_origin(origin: str) -> bool:
    """Whether this can be the Origin of a page."""
    return _origin(origin) is not None


def same_origin(one: str, other: str) -> bool:
    """Whether both are the same Origin: scheme, host and port."""
    return is_origin(one) and _origin(one) == _origin(other)


def is_own_origin(origin: str, host: str, secure: bool) -> bool:
    """
    Whether a page of this Origin is one of the listener's own.

    @param host: the Host header.
    @param secure: whether the listener speaks TLS.
    """
    asked = _origin(origin)
    return asked is not None and asked == _origin(f"{'https' if secure else 'http'}://{host}")


def is_change_from_elsewhere(head: Head, secure: bool) -> bool:
    """
    Whether a page of another origin asks for a change, which is any method but GET and HEAD.

    A page on loopback is not allowed either: it may belong to any program on the machine. A browser
    that leaves out the Origin still sends C{Sec-Fetch-Site} for a page (W3C Fetch Metadata).

    @param secure: whether the listener speaks TLS.
    """
    if head.method in READING:
        return False
    host = head.one("host") or ""
    own = all(is_own_origin(origin, host, secure) for origin in head.all("origin"))
    return not own or any(site not in OWN_SITES for site in head.all("sec-fetch-site"))
