"""The relay as a protocol factory: what an embedder listens with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from random import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory, IReactorTime

from relay.admission.budgets import Budgets
from relay.admission.callers import Callers
from relay.admission.ephemeral import Mint, with_secrets
from relay.admission.ledger import LocalLedger
from relay.admission.request import Admit
from relay.admission.revoked import Revoked
from relay.admission.shared import Fleet
from relay.config.settings import Settings
from relay.dial.dialer import dialer_for
from relay.downstream.fronts import FrontFactory, FrontsOfListener
from relay.downstream.gate import FrontContext
from relay.downstream.hang_ups import HangUps
from relay.downstream.hold import HoldContext
from relay.downstream.protocol import DownstreamFactory
from relay.lifecycle.drain import Drain
from relay.lifecycle.handles import Handles
from relay.lifecycle.register import Register
from relay.lifecycle.traffic import OpenTraffic
from relay.recording.recordings import Recordings
from relay.rules.closes import Side
from relay.rules.errors import InvalidValue, each_is, wanted
from relay.telemetry.metrics import Metrics
from relay.telemetry.records import RelayListener, Traffic, no_traffic
from relay.timing.clock import epoch
from relay.timing.turns import Turns
from relay.upstreams.balancing import Balancer, Standing
from relay.upstreams.endpoints import Served
from relay.upstreams.upstream import Upstream
from relay.web.admin import AdminFactory
from relay.web.admitted import Door
from relay.web.calls import call_at
from relay.web.console import Console
from relay.web.last_refusals import LastRefusals
from relay.web.models import named_by
from relay.web.overview import OwnOverview
from relay.web.public import public_site
from relay.wire.choice import Lines


def _check(upstreams: Any, admit: Any, listeners: Any, site: Any, settings: Any) -> None:
    """
    Look at once for what would else be found by the first request.

    @raise InvalidValue: for an argument of another type than L{RelayFactory} says.
    """
    each_is(upstreams, Upstream, "upstreams must be a list of relay.Upstream")
    each_is(listeners, RelayListener, "listeners must be a list of relay.RelayListener")
    if admit is not None and not callable(admit):
        raise wanted("admit must be a callable that takes a relay.Request, or None", admit)
    if site is not None and not IProtocolFactory.providedBy(site):
        raise wanted("site must be a factory such as a twisted.web.server.Site, or None", site)
    if settings is not None and not isinstance(settings, Settings):
        raise wanted("settings must be a relay.Settings, or None", settings)


def _check_keys(keys: Any) -> None:
    """@raise InvalidValue: for a key that is too short to sign, or none."""
    if isinstance(keys, bytes) or not all(isinstance(k, bytes) and len(k) >= 32 for k in keys):
        raise InvalidValue("signing_keys must be a list of bytes, at least 32 each")


def _seconds_of(clock: IReactorTime) -> Callable[[], float]:
    """Its time, also after another clock was chosen for it (see L{relay.use_monotonic_clock})."""
    return lambda: clock.seconds()


class RelayFactory(FrontFactory):
    """
    Builds the protocol of each accepted connection.

    It opens nothing, starts nothing and changes no global state by itself; any number of them
    live in one process.

    @param upstreams: at least one, each with a name of its own; L{relay.Upstream} tells which is
        tried when.
    @param admit: decides on each request (see L{relay.Request}). Without it, every request with an
        allowed Host and Origin is let in.
    @param listeners: told of each hold and session (see L{relay.RelayListener}).
    @param site: a C{twisted.web} site of the host's own on the same port, by default the relay's.
        It gets the plain requests, and the upgrades for other paths than the relay's.
    @param probes: whether C{/healthz} and C{/readyz} are the relay's though there is a C{site}.
    @param reactor: the global one by default.
    @param signing_keys: what signs ephemeral secrets: the first of them; all are accepted, from
        other relays too. At least 32 random bytes each. Without any, one is made now.
    @param settings: limits and rules; C{listen}, C{listener}, C{admin}, C{upstream}, C{auth},
        C{fleet} and C{log_format} in it are the daemon's and mean nothing here.
    @raise InvalidValue: for no upstream, or two of the same name, or an argument of another type.
    @ivar standings: how each upstream is doing.
    @ivar recordings: writes sessions into files, as C{settings.record} says.
    @ivar handles: lists what is open, and ends it (see L{relay.Handles}).
    @ivar fleet: what it counts and revokes together with (see L{join}); L{None} if it is alone.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        admit: Admit | None = None,
        listeners: Sequence[RelayListener] = (),
        site: IProtocolFactory | None = None,
        probes: bool = True,
        reactor: IReactorTime | None = None,
        settings: Settings | None = None,
        signing_keys: Sequence[bytes] = (),
        console: Console | None = None,
    ) -> None:
        _check_keys(signing_keys)
        _check(upstreams, admit, listeners, site, settings)
        if reactor is None:
            # Imported only here, because importing it installs it.
            from twisted.internet import reactor as installed

            reactor = IReactorTime(installed)
        settings = settings or Settings()
        self._register = Register(settings.limits.sessions, listeners)
        self.fleet: Fleet | None = None
        self._revoked = Revoked()
        seconds = _seconds_of(reactor)
        self.handles = Handles(self._register, Turns(reactor), self._was_revoked, seconds)
        self._named: dict[str, None] = {}
        self.recordings = Recordings(self._register, reactor)
        self._drain = Drain(self._register, settings, reactor)
        self._traffic = OpenTraffic(self._register, reactor)
        self._reactor = reactor
        self._lines = Lines(reactor, direct=settings.plane != "message")
        self._heads = Turns(reactor)
        self._callers = Callers(settings.limits, seconds)
        self._budgets = Budgets(LocalLedger(epoch), Turns(reactor))
        self._hang_ups = HangUps(reactor)
        self._site, self._probes = site, probes
        self._mint = Mint(signing_keys)
        self.standings: Sequence[Standing] = ()
        balancer = self._balancer(upstreams)
        super().__init__(self._configured(balancer, self._mint, admit, settings, console))
        self.standings = balancer.standings

    def join(self, fleet: Fleet) -> None:
        """Count and revoke together with other relays; before the first request."""
        self.fleet = self._callers.fleet = fleet
        self._budgets.ledger = fleet.ledger

    def _was_revoked(self, subject: str) -> None:
        self._revoked.add(subject, epoch())
        if self.fleet is not None:
            self.fleet.revoke(subject)

    def revoked_elsewhere(self, subject: str, seconds: float) -> None:
        """
        Another relay of the fleet has revoked a subject (see L{relay.Handles.revoke}).

        @param seconds: how long ago.
        """
        self._revoked.add(subject, epoch() - seconds)
        self.handles.end(subject, seconds)

    def _balancer(self, upstreams: Sequence[Upstream]) -> Balancer:
        """That of these upstreams, which go on as they have done so far."""
        return Balancer(upstreams, random, _seconds_of(self._reactor), self.standings)

    def _configured(
        self,
        balancer: Balancer,
        mint: Mint,
        admit: Admit | None,
        settings: Settings,
        console: Console | None,
    ) -> FrontContext:
        """What requests get from now on."""
        reactor = self._reactor
        upstreams = [standing.upstream for standing in balancer.standings]
        endpoints = chain.from_iterable(upstream.traits.endpoints for upstream in upstreams)
        served = Served(endpoints, settings.base_path)
        decide = with_secrets(admit, mint, reactor, self._revoked, settings.base_path)
        dialer = dialer_for(balancer, settings.limits, self._lines, reactor)
        door = Door(decide, settings.hold_seconds, reactor, self._callers)
        models = named_by(upstreams)
        holds = HoldContext(
            settings,
            decide,
            dialer,
            self._register,
            self._callers,
            self._budgets,
            reactor,
            self.recordings,
            self._hang_ups,
            guarded=admit is not None,
        )
        calls = partial(call_at, holds, served)
        own = public_site(
            served, lambda: self.is_ready, models, door, mint, calls, reactor, console
        )
        return FrontContext(
            holds,
            DownstreamFactory(reactor, self._lines),
            served,
            own,
            self._site,
            heads=self._heads,
            probes=self._probes,
        )

    def configure(
        self,
        upstreams: Sequence[Upstream],
        *,
        admit: Admit | None = None,
        settings: Settings | None = None,
        signing_keys: Sequence[bytes] = (),
        console: Console | None = None,
    ) -> None:
        """
        Be another relay for each request from now on. What is open goes on as it began. An
        upstream that is the same as before keeps its breaker. The C{plane} stays as it was.

        @param signing_keys: without any, those from before stay.
        @raise InvalidValue: as the constructor does; then nothing has changed.
        """
        _check_keys(signing_keys)
        _check(upstreams, admit, (), None, settings)
        settings = settings or Settings()
        balancer = self._balancer(upstreams)
        mint = Mint(signing_keys) if signing_keys else self._mint
        self._context = self._configured(balancer, mint, admit, settings, console)
        self._mint, self.standings = mint, balancer.standings
        self._register.capacity = settings.limits.sessions
        self._callers.limits = settings.limits
        self._drain.settings = settings

    def at(self, listener: str) -> IProtocolFactory:
        """
        This relay, for the connections of one listener: listen with it where a rule of
        C{settings.refusals} is for that listener only.

        @param listener: the listener's name in those rules.
        """
        self._named[listener] = None
        return FrontsOfListener(self, listener)

    @property
    def listeners(self) -> Sequence[str]:
        """What the listeners are called that L{at} was asked for; if none was, one empty name."""
        return [*self._named] or [""]

    @property
    def sessions_limit(self) -> int:
        """Most sessions and holds at once."""
        return self._register.capacity

    @property
    def active_holds(self) -> int:
        """Holds that are not yet answered."""
        return len(self._register.holds)

    @property
    def active_sessions(self) -> int:
        """Sessions that still have a connection."""
        return len(self._register.sessions)

    @property
    def connections(self) -> int:
        """Connections that were accepted and are open, with a request or without."""
        return len(self._register.silent) + len(self._register.connections)

    @property
    def is_ready(self) -> bool:
        """Whether it has not been told to end."""
        return self._drain.phase == "serving"

    def gather(self) -> Deferred[dict[Side, Traffic]]:
        """The same as L{traffic}, gathered in as many turns of the reactor as that needs."""
        return self._traffic.gather()

    def gathered(self) -> dict[Side, Traffic]:
        """What was gathered last, of the sessions that are still open."""
        return self._traffic.gathered()

    def traffic(self) -> dict[Side, Traffic]:
        """Messages and bytes that crossed so far in open sessions, by the side they came from."""
        total = no_traffic()
        for session in self._register.sessions:
            session.add_to(total)
        return total

    def admin(self, metrics: Metrics, drain: Callable[[], object] | None = None) -> AdminFactory:
        """
        A factory for the admin listener. All that can reach the listener can read it; see
        L{AdminFactory.set_public}.

        @param metrics: the same as among the C{listeners}.
        @param drain: what C{POST /drain} does; by default L{drain}.
        """
        if not isinstance(metrics, Metrics):
            raise wanted("metrics must be a relay.Metrics", metrics)
        if drain is not None and not callable(drain):
            raise wanted("drain must be a callable without arguments, or None", drain)
        return AdminFactory(self, self.overview(metrics), drain or self.drain, self._reactor)

    def overview(self, metrics: Metrics) -> OwnOverview:
        """
        What an admin listener shows, of this relay.

        @param metrics: the same as among the C{listeners}.
        """
        refusals = LastRefusals(_seconds_of(self._reactor))
        self._register.listen(refusals)
        return OwnOverview(self, metrics, refusals)

    def drain(self, shut: Callable[[], object] | None = None) -> Deferred[None]:
        """
        End, in the times of the settings. First the relay is no longer ready. Then it lets nothing
        new in, and gives what is open time to end by itself. At last it closes that with 1012.

        @param shut: called when nothing new is to be let in, to stop listening on sockets that
            another process has too, so that clients wait there for it. Then nobody is refused who
            was accepted before, and asks within a second.
        @return: fires when nothing is open any more, at most a second after C{drain_delay_seconds}
            and C{drain_seconds}.
        @raise InvalidValue: if C{shut} cannot be called.
        """
        if shut is not None and not callable(shut):
            raise wanted("shut must be a callable without arguments, or None", shut)
        return self._drain.begin(shut).addBoth(self._forget_calls)

    def _forget_calls(self, ended: None) -> None:
        """Nothing is open any more: a relay that ends hangs up no call later."""
        self._hang_ups.clear()

    def abort(self) -> None:
        """Drop every connection now and let nothing new in, which ends a drain under way."""
        self._drain.cut()
        self._hang_ups.clear()
