"""What a host and a URL are, and which hosts are this machine itself."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
"""By a URL's scheme."""

UNNAMED_ORIGINS = ("null", "file://")
"""
Origins without a host, which many pages share. Sandboxed frames have C{null}; local files have that
or C{file://}, as the browser likes.
"""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_APP = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._~-]+(?::[0-9]{1,5})?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port and brackets, is this machine's loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(value: str) -> bool:
    """Whether this is a host name, or an address as in a URL, with IPv6 in brackets."""
    if value.startswith("["):
        return value.endswith("]") and is_address(value[1:-1], version=6)
    # A host that ends in a number must be an address, so 127.1 and 300.1.1.1 are no hosts.
    if value.rpartition(".")[2].isdigit():
        return is_address(value, version=4)
    return len(value) <= 253 and _HOST.fullmatch(value.lower()) is not None


def is_address(value: str, version: int | None = None) -> bool:
    """Whether this is an IP address of this version, or any, without brackets and zone."""
    try:
        return "%" not in value and version in (None, ip_address(value).version)
    except ValueError:
        return False


def plain_address(address: str) -> str:
    """An IP address in its shortest form; one of IPv4 within IPv6 as that of IPv4."""
    found = ip_address(address)
    return str(getattr(found, "ipv4_mapped", None) or found)


def bracketed(host: str) -> str:
    """A host as a URL and a Host header have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_origin(value: str) -> bool:
    """
    Whether this, in small letters, can be the Origin of a page: of the web's, C{https://HOST} or
    C{https://HOST:PORT}; of an app's or an extension's, the same with a scheme of its own, whose
    host may be any name; or one of L{UNNAMED_ORIGINS}. Source: RFC 6454, 6.2.
    """
    if value in UNNAMED_ORIGINS:
        return True
    if value.partition("://")[0] not in DEFAULT_PORTS:
        return _APP.fullmatch(value) is not None
    parts = split_url(value)
    return (
        parts is not None and "@" not in value and not (parts.path or parts.query or parts.fragment)
    )


def split_url(url: str) -> SplitResult | None:
    """The parts of an absolute URL of visible ASCII with a good host and port, else L{None}."""
    # First, because urlsplit silently drops tabs and newlines.
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    authority = parts.netloc.rpartition("@")[2]
    bare = authority.removesuffix(f":{port}") if port is not None else authority
    ok = "://" in url and _SCHEME.fullmatch(parts.scheme) and is_host(bare) and port != 0
    return parts if ok else None
