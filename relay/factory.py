"""The relay as a protocol factory: what an embedder listens with."""

from __future__ import annotations

from collections.abc import Sequence
from random import random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from relay.admission.request import Admit
from relay.balancing import Balancer, Standing
from relay.dialing import Dialer
from relay.downstream import DownstreamFactory
from relay.front import Front, FrontContext
from relay.hold import HoldContext
from relay.lines.choice import Lines
from relay.opening import Opener
from relay.providers import Upstream
from relay.records import RelayListener
from relay.register import Register
from relay.resolver import Resolver
from relay.retry import RetryBudget
from relay.settings import Settings
from relay.web.public import public_site


@implementer(IProtocolNegotiationFactory)
class RelayFactory(ServerFactory):
    """
    Builds the protocol of each accepted connection.

    It opens nothing, starts nothing and changes no global state by itself; any number of them
    live in one process.

    @param upstreams: at least one, by names of their own; see L{relay.Upstream} for which is tried
        when.
    @param admit: decides on each request (see L{relay.Request}); without it everybody on an
        allowed Host and Origin is let in.
    @param listeners: told of each hold and session (see L{relay.RelayListener}).
    @param site: a C{twisted.web} site of the host's own for plain requests on the same port;
        by default the relay's.
    @param reactor: the global one by default.
    @param settings: limits and rules; C{listen}, C{listener}, C{upstream}, C{auth} and
        C{log_format} in it are the daemon's and mean nothing here.
    @raise ValueError: for no upstream, or two of the same name.
    @ivar standings: how each upstream is doing.
    """

    noisy = False

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        admit: Admit | None = None,
        listeners: Sequence[RelayListener] = (),
        site: IProtocolFactory | None = None,
        reactor: IReactorTime | None = None,
        settings: Settings | None = None,
    ) -> None:
        balancer = Balancer(upstreams, random)
        if reactor is None:
            # Only here: importing it installs it.
            from twisted.internet import reactor as installed

            reactor = IReactorTime(installed)
        settings = settings or Settings()
        self.standings: Sequence[Standing] = balancer.standings
        self._register = Register(settings.limits.sessions, listeners)
        lines = Lines(reactor)
        opener = Opener(upstreams, settings.limits, reactor, Resolver(reactor), lines)
        dialer = Dialer(balancer, RetryBudget(), opener, reactor)
        self._context = FrontContext(
            HoldContext(settings, admit, dialer, self._register, reactor),
            DownstreamFactory(reactor, lines),
            site or public_site(settings.base_path, lambda: not self._register.draining, reactor),
            guards_site=site is None,
        )

    def buildProtocol(self, addr: IAddress | None) -> Front:
        """The front of one connection."""
        assert addr is not None, "an accepted connection has an address"
        front = Front(self._context, addr)
        front.factory = self
        return front

    def acceptableProtocols(self) -> list[bytes]:
        """
        What is spoken behind TLS. Without an answer, Twisted ends the handshake of everybody who
        asks by ALPN, as browsers and curl do.
        """
        return [b"http/1.1"]

    @property
    def active_holds(self) -> int:
        """Holds that are not yet answered."""
        return len(self._register.holds)

    @property
    def active_sessions(self) -> int:
        """Sessions with a connection left."""
        return len(self._register.sessions)

    def drain(self) -> Deferred[None]:
        """
        Let nothing new in, refuse what is held and close every session with 1012.

        @return: fires when nothing is open any more, within the close deadlines.
        """
        return self._register.drain()
