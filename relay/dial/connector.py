"""
Connect to an upstream: directly, by its name, its addresses and TCP, or through a proxy; then TLS.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, NoRouteError
from twisted.internet.interfaces import IProtocol, IReactorTCP, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from relay.config.settings import Limits
from relay.dial.opened import OpenUpstream
from relay.dial.protocol import HandshakeListener, UpgradeRequest, UpstreamFactory
from relay.dial.race import OneConnection, Race
from relay.dial.resolver import Resolver
from relay.dial.tls import client_options
from relay.dial.tunnel import TunnelFactory
from relay.rules.refusals import Refusal, Stage, refuse
from relay.rules.shortage import shortage_in
from relay.upstreams.proxies import Proxy, ProxyFault, unreachable
from relay.upstreams.upstream import Upstream
from relay.wire.choice import Lines

P = TypeVar("P")

Connection = tuple[Any, Deferred[P]]
"""A L{ClientFactory}, and the Deferred that fires with the protocol of its connection."""

Make = Callable[[], Connection[IProtocol]]

DROPPED = "The upstream dropped the connection before it answered; try again."
LOST = "ConnectionLost"


class NotConnected(Exception):
    """
    No connection to an upstream could be made.

    @ivar refusal: what that means for the client; it does not name the upstream yet.
    @ivar error: the name of the error below, for the log only.
    """

    def __init__(self, refusal: Refusal, error: str) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.error = error


class Connector:
    """
    Makes the connections of all attempts.

    @param lines: makes the lines of the connections once they are open.
    """

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        limits: Limits,
        reactor: IReactorTime,
        resolver: Resolver,
        lines: Lines,
    ) -> None:
        self._limits = limits
        self._reactor = reactor
        self._resolver = resolver
        self._lines = lines
        self._tls = {u.name: client_options(u) for u in upstreams if u.secure}

    async def connect(
        self,
        upstream: Upstream,
        listener: HandshakeListener,
        request: UpgradeRequest,
        reached: Callable[[Stage], None],
    ) -> None:
        """
        Connect, and let the upstream's protocol begin its handshake. Once this is done, the
        protocol tells its listener how it goes on. Cancelling this stops connecting.

        @param reached: called with each stage that begins.
        @raise NotConnected: if no connection can be made.
        """

        def factory() -> OneConnection[Any]:
            return UpstreamFactory(request, listener, self._reactor, self._limits, self._lines)

        await self.reach(upstream, factory, reached)

    async def reach(
        self,
        upstream: Upstream,
        factory: Callable[[], OneConnection[Any]],
        reached: Callable[[Stage], None],
    ) -> None:
        """
        Connect, and let a protocol of the factory's go on. Cancelling this stops connecting.

        @param factory: makes the factory of one connection; of several that are tried, one comes
            to be.
        @param reached: called with each stage that begins.
        @raise NotConnected: if no connection can be made.
        """
        make = partial(self._connection, upstream, factory)
        try:
            if upstream.proxy is None:
                await self._directly(upstream, reached, make)
            else:
                await self._by_proxy(upstream.proxy, upstream, reached, make)
        except ProxyFault as fault:
            raise NotConnected(fault.refusal, fault.error) from None
        except (ConnectError, OSError, UnicodeError) as error:
            if getattr(error, "osError", None) == errno.ECONNRESET:
                # It was connected, and reset before the reactor looked.
                reached("tls" if upstream.secure else "upgrade")
                raise NotConnected(refuse("upstream_connect_failed", DROPPED), LOST) from None
            raise _not_connected(error) from None

    def opened(self, opened: OpenUpstream) -> None:
        """Note the TLS session of an upstream that is open, to resume it next time."""
        if not opened.upstream.secure:
            return
        connection = opened.protocol.transport.getHandle()
        if connection is not None:  # else it was lost while its first event waited for its turn
            self._tls[opened.upstream.name].keep(connection)

    async def _directly(
        self, upstream: Upstream, reached: Callable[[Stage], None], make: Make
    ) -> None:
        reached("dns")
        addresses = await self._resolver.resolve(upstream.host)
        reached("tcp")
        await self._tcp(addresses, upstream.port, make)

    async def _by_proxy(
        self, proxy: Proxy, upstream: Upstream, reached: Callable[[Stage], None], make: Make
    ) -> None:
        reached("proxy")
        request = proxy.request(upstream.host, upstream.port)

        def tunnel() -> Connection[Any]:
            factory = TunnelFactory(request, make()[0])
            return factory, factory.connected

        try:
            addresses = await self._resolver.resolve(proxy.host)
            made = await self._tcp(addresses, proxy.port, tunnel)
        except (ConnectError, OSError, UnicodeError) as error:
            if shortage_in(error) is not None:
                raise
            raise unreachable(type(error).__name__) from None
        # The race ends with the first TCP connection. Only that one asks for the tunnel.
        await made.opened

    async def _tcp(
        self, addresses: Sequence[str], port: int, make: Callable[[], Connection[P]]
    ) -> P:
        """The protocol of the first connection to one of these addresses."""
        connect = partial(self._connect_to, port, make)
        if len(addresses) == 1:
            return await connect(addresses[0])
        return await Race(self._reactor, addresses, connect).start()

    def _connect_to(
        self, port: int, make: Callable[[], Connection[P]], address: str
    ) -> Deferred[P]:
        factory, connected = make()
        try:
            IReactorTCP(self._reactor).connectTCP(address, port, factory)
        except Exception:
            return fail()
        return connected.addErrback(_without_a_source, address)

    def _connection(
        self, upstream: Upstream, make: Callable[[], OneConnection[Any]]
    ) -> Connection[IProtocol]:
        factory = make()
        if not upstream.secure:
            return factory, factory.connected
        tls = TLSMemoryBIOFactory(self._tls[upstream.name], True, factory, self._reactor)
        return tls, factory.connected


def _not_connected(error: Exception) -> NotConnected:
    shortage = shortage_in(error)
    if shortage is not None:
        return NotConnected(refuse("relay_full", shortage.message), shortage.error)
    connects = isinstance(error, ConnectError)
    refusal = refuse("upstream_connect_failed" if connects else "upstream_dns_failed")
    return NotConnected(refusal, type(error).__name__)


def _without_a_source(failure: Failure, address: str) -> Failure:
    """
    The failure, but "no local port" becomes "no route" where the machine cannot reach the address.

    On a machine without IPv6, C{::1} fails as if no local port were free. That must not be taken
    for a shortage of ports, nor hide why C{127.0.0.1} failed.
    """
    lacks_port = getattr(failure.value, "osError", None) == errno.EADDRNOTAVAIL
    return Failure(NoRouteError()) if lacks_port and not _leads_to(address) else failure


def _leads_to(address: str) -> bool:
    """Whether this machine has a local address from which to reach this one. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return True
    return False
