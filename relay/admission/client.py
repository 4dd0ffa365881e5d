"""
Who a request comes from: the other end of its connection, or whom a trusted proxy there speaks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from attrs import frozen

from relay.http.forwarded import (
    Hop,
    Malformed,
    forwarded,
    forwarded_for,
    forwarded_id,
    forwarded_proto,
)
from relay.http.head import Head
from relay.rules.addresses import is_loopback

LOCAL = "local"
"""Stands for the address of a peer on a Unix socket, which has none."""

UNKNOWN = "unknown"
"""Stands for what is no IP address, as the PROXY protocol may bring it."""

UNIX = "unix"
"""Stands for such peers in the settings."""

_T = TypeVar("_T")


class Proxies:
    """
    The peers whose word is taken for who their client is.

    @param trusted: networks, as in the settings; L{UNIX} for all peers on a Unix socket.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        named = set(trusted)
        self._unix = UNIX in named
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(each) for each in sorted(named - {UNIX})
        ]

    def __contains__(self, peer: str) -> bool:
        if peer == LOCAL:
            return self._unix
        if not self._networks or peer == UNKNOWN:
            return False
        address = ip_address(peer)
        return any(address in network for network in self._networks)


@lru_cache(64)
def proxies(trusted: tuple[str, ...]) -> Proxies:
    """The proxies that the settings trust."""
    return Proxies(trusted)


@frozen
class Client:
    """
    Who a request comes from.

    @ivar address: without port; L{LOCAL} for a Unix socket's peer.
    @ivar spoken_for: whether a trusted proxy speaks for it. Then C{address} is the proxy's own only
        if the proxy does not tell, or not well.
    @ivar secure: whether it came by TLS; L{None} if no proxy says so.
    @ivar id: the id that a proxy gave the request; L{None} for none.
    @ivar ignored: what of the proxy's words was not believed, for the operator; L{None} for none.
    """

    address: str
    spoken_for: bool = False
    secure: bool | None = None
    id: str | None = None
    ignored: str | None = None

    @property
    def is_near(self) -> bool:
        """Whether it is a program on this machine, which no limit by address is for."""
        return not self.spoken_for and (self.address == LOCAL or is_loopback(self.address))


def client_of(head: Head, peer: str, trusted: Proxies) -> Client:
    """
    Who a request comes from.

    Of a chain of proxies the rightmost address counts that is none of a trusted one: what stands
    before it may be the client's own invention. Where C{Forwarded} and C{X-Forwarded-For} disagree,
    a client has sent one of them through a proxy that only knows the other, so neither counts.

    @param peer: the address of the connection's other end.
    """
    if peer not in trusted:
        return Client(peer)
    ignored: list[str] = []
    standard = _told(ignored, lambda: _nearest(forwarded(head), trusted))
    usual = _told(ignored, lambda: _nearest(forwarded_for(head), trusted))
    scheme = _told(ignored, lambda: forwarded_proto(head))
    address = _agreed([hop.address for hop in (standard, usual) if hop], ignored)
    told = [standard.secure if standard else None, scheme]
    return Client(
        address or peer,
        any(head.all(name) for name in ("forwarded", "x-forwarded-for")),
        _agreed([each for each in told if each is not None], ignored),
        _told(ignored, lambda: forwarded_id(head)),
        f"not believed of the proxy {peer}: {', '.join(ignored)}" if ignored else None,
    )


def _told(ignored: list[str], read: Callable[[], _T | None]) -> _T | None:
    try:
        return read()
    except Malformed as fault:
        ignored.append(f"{fault} is malformed")
        return None


def _nearest(hops: Iterable[Hop], trusted: Proxies) -> Hop | None:
    """The nearest hop that is no trusted proxy; the furthest one if all are."""
    hop = None
    for hop in hops:
        if hop.address is None or hop.address not in trusted:
            break
    return hop


def _agreed(told: Sequence[_T], ignored: list[str]) -> _T | None:
    """What is told, if it is told once, or twice the same."""
    if len(set(told)) <= 1:
        return told[0] if told else None
    ignored.append("Forwarded and X-Forwarded disagree")
    return None
