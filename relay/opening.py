"""Open one upstream: its key, a connection, the handshakes, the first event."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from relay.attempt import Attempt, OpenUpstream
from relay.callbacks import answer_of
from relay.connecting import Race
from relay.head import Head
from relay.lines.choice import Lines
from relay.providers import Upstream
from relay.records import AttemptRecord
from relay.refusals import Refused, refuse
from relay.resolver import Resolver
from relay.settings import Limits
from relay.subprotocols import for_upstream
from relay.tls import client_options
from relay.upstream import UpgradeRequest, UpstreamFactory

_log = Logger()

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class Opener:
    """
    Makes the attempts of one relay.

    @param reactor: for the connections and every deadline.
    @param lines: for what the connections read and write once they are open.
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

    async def open(self, upstream: Upstream, head: Head, record: AttemptRecord) -> OpenUpstream:
        """
        One attempt. Cancelling it leaves no connection behind; it has no deadline of its own.

        @param record: filled in as the attempt goes on.
        @raise Refused: by the upstream, or by what is in between.
        """
        credential = await self._credential(upstream)
        secrets = (credential,) if credential else ()
        attempt = Attempt(self._reactor, upstream, secrets, record)
        request = _request(upstream, head, credential)
        try:
            await self._connect(upstream, attempt, request, record)
            opened = await attempt.result
            if upstream.secure:
                self._tls[upstream.name].keep(opened.protocol.transport.getHandle())
            return opened
        finally:
            attempt.drop()

    async def _credential(self, upstream: Upstream) -> str | None:
        """The key for this attempt, from its callback if it has one."""
        if upstream.credential is None or isinstance(upstream.credential, str):
            return upstream.credential
        try:
            key = await answer_of(upstream.credential())
            if not (isinstance(key, str) and key.isascii() and key.isprintable()):
                raise ValueError("a credential is one line of ASCII text")
        except CancelledError:
            raise
        except Exception:
            _log.failure("credential callback of {upstream} failed", upstream=upstream.name)
            raise Refused(refuse("authorizer_unavailable")) from None
        return key

    async def _connect(
        self,
        upstream: Upstream,
        attempt: Attempt,
        request: UpgradeRequest,
        record: AttemptRecord,
    ) -> None:
        """Until TCP is up; the attempt is told of the rest."""
        attempt.reached("dns")
        try:
            addresses = await self._resolver.resolve(upstream.host)
            attempt.reached("tcp")
            connect = partial(self._connect_to, upstream, attempt, request)
            if len(addresses) == 1:
                await connect(addresses[0])
            else:
                await Race(self._reactor, addresses, connect).start()
        except ConnectError as error:
            record.error = type(error).__name__
            short = getattr(error, "osError", None) in _OUT_OF_DESCRIPTORS
            attempt.refuse(refuse("relay_full" if short else "upstream_connect_failed"))
        except (OSError, UnicodeError) as error:
            record.error = type(error).__name__
            attempt.refuse(refuse("upstream_dns_failed"))

    def _connect_to(
        self, upstream: Upstream, attempt: Attempt, request: UpgradeRequest, address: str
    ) -> Deferred[IProtocol]:
        factory = UpstreamFactory(request, attempt, self._reactor, self._limits, self._lines)
        outer: ClientFactory[Any] = factory
        if upstream.secure:
            outer = TLSMemoryBIOFactory(self._tls[upstream.name], True, factory, self._reactor)
        try:
            IReactorTCP(self._reactor).connectTCP(address, upstream.port, outer)
        except Exception:
            return fail()
        return factory.connected


def _request(upstream: Upstream, head: Head, credential: str | None) -> UpgradeRequest:
    return UpgradeRequest(
        f"[{upstream.host}]" if ":" in upstream.host else upstream.host,
        upstream.port,
        upstream.target(head.query),
        upstream.headers(credential, head.fields),
        for_upstream(head.subprotocols),
    )
