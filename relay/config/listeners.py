"""Whether the relay can listen at an endpoint, and whether other machines could reach it there."""

from __future__ import annotations

import re

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress

from relay.config.checks import shown
from relay.rules.addresses import is_loopback

OPEN_TO_ALL = (
    "can be reached from other machines without authentication; set token_env or token_file in"
    " [auth], or allow_anonymous = true"
)
"""The fault of a listener that is public and not guarded."""

UNUSABLE = "is no endpoint that can be used here; one is tcp:8080:interface=127.0.0.1"
"""The fault of an endpoint string that no parser takes."""

BY_TABLE = "name certificate and key in a [[listener]], with a tcp: endpoint"
"""What to do instead of an endpoint that speaks TLS by itself."""

NOT_HANDED = "is no socket that systemd has handed to the relay: start its socket unit first"
"""The fault of an endpoint string for a socket of systemd's that is not there."""


def fault_of_endpoint(endpoint: str, *, listens: bool = True) -> str | None:
    """
    What is wrong with an endpoint string, or L{None}. Opens nothing.

    @param listens: whether this process is to listen there, and so must have systemd's socket.
    """
    try:
        # Any object will do for the reactor: a parser only keeps it for listen(), which is not
        # called here. Importing the global one would install it, and the process must choose it.
        serverFromString(object(), endpoint)
    except Exception as error:
        # Parsers are plug-ins, and may raise any exception, such as TypeError without an argument.
        if isinstance(error, LookupError) and endpoint.startswith("systemd:"):
            return f"{shown(endpoint)} {NOT_HANDED}" if listens else None
        instead = f"; for TLS, {BY_TABLE}" if has_tls(endpoint) else ""
        return f"{shown(endpoint)} {UNUSABLE}{instead}"
    return None


def has_tls(endpoint: str) -> bool:
    """Whether a listener at an endpoint speaks TLS, whatever else is said of it."""
    return endpoint.startswith("ssl:")


PROXIED = "haproxy:"
"""What an endpoint string begins with if its clients speak the PROXY protocol."""

SHARED = ("tcp", "tcp6", "unix", "systemd")
"""The kinds of endpoints whose sockets several processes can listen on."""


def kind_of(endpoint: str) -> str:
    """The kind of an endpoint, below the PROXY protocol."""
    return endpoint.removeprefix(PROXIED).partition(":")[0]


def fault_of_sharing(endpoint: str) -> str | None:
    """Why several workers cannot listen at an endpoint; L{None} if they can."""
    if kind_of(endpoint) in SHARED:
        return None
    instead = BY_TABLE if has_tls(endpoint) else f"use {', '.join(SHARED)}, or 1 worker"
    return f"{shown(endpoint)} is not for several workers: {instead}"


def adopted(endpoint: str, domain: str, index: int) -> str:
    """
    The endpoint string with which a worker listens on a socket that it is handed.

    @param endpoint: the one of the process that made the socket.
    @param domain: the socket's family as C{systemd:} has it: C{INET}, C{INET6} or C{UNIX}.
    @param index: its place among those that are handed.
    """
    proxied = PROXIED if endpoint.startswith(PROXIED) else ""
    return f"{proxied}systemd:domain={domain}:index={index}"


def fault_of_access(endpoint: str, *, guarded: bool, address: IAddress | None = None) -> str | None:
    """
    The fault of a listener that is open to all by oversight, or L{None}.

    @param guarded: see L{relay.config.plan.Plan}.
    @param address: the address of a listener that listens already. Without it, the endpoint string
        decides; one that does not tell the address, like C{systemd:}, passes.
    """
    public = _asks_for_public(endpoint) if address is None else is_public(address)
    return f"{endpoint} {OPEN_TO_ALL}" if public and not guarded else None


def is_public(address: IAddress) -> bool:
    """Whether other machines can reach a listener at this address."""
    return isinstance(address, (IPv4Address, IPv6Address)) and not is_loopback(address.host)


def _asks_for_public(endpoint: str) -> bool:
    """Whether an endpoint string asks for an address that other machines can reach."""
    kind, *arguments = re.split(r"(?<!\\):", endpoint)
    if kind not in ("tcp", "tcp6", "ssl"):
        return False
    named = [a.partition("=")[2] for a in arguments if a.startswith("interface=")]
    if kind == "tcp" and not named and len(arguments) > 1 and "=" not in arguments[1]:
        named = [arguments[1]]
    return not named or not is_loopback(named[0].replace("\\", ""))
