"""The relay as a service: its factory, its listeners, and in a demo the built-in upstream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from relay.admission.authorizers import admit_by
from relay.config.access import ClientKeys
from relay.config.plan import Plan
from relay.config.settings import Settings
from relay.daemon.base import Daemon
from relay.daemon.demo import ENDPOINT, SecureDemo
from relay.daemon.descriptors import raise_limit, sessions_within
from relay.daemon.fleet import fleet_in
from relay.daemon.garbage import Garbage
from relay.daemon.lag import Lag
from relay.daemon.listeners import certificates_of
from relay.daemon.listening import validities
from relay.daemon.withdrawn import Withdrawn
from relay.daemon.withheld import Withheld
from relay.factory import RelayFactory
from relay.simulator import SimulatorFactory
from relay.telemetry.lines import LogRecords
from relay.timing.clock import epoch
from relay.upstreams.upstream import Upstream
from relay.web.console import Console

_log = Logger()

FLUSH_SECONDS = 1.0
"""Seconds that the end waits for the last lines of recordings to be written."""

SESSION, SESSION_IN_DEMO = 2, 3
"""Descriptors of a session; in a demo one is the simulator's."""


def start_simulator(reactor: Any) -> tuple[IListeningPort, Upstream]:
    """The built-in upstream, listening on loopback."""
    port = reactor.listenTCP(0, SimulatorFactory(reactor), interface="127.0.0.1")
    url = f"ws://127.0.0.1:{port.getHost().port}/v1/realtime"
    return port, Upstream(url, name="simulator", breaker=False)


class RelayService(Daemon):
    """The relay in one process: the whole of it, or one of several workers."""

    def __init__(
        self,
        plan: Plan,
        *,
        reactor: Any,
        handed: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """
        @param handed: a worker's endpoints, in the order of the plan's, whose sockets it is handed.
        @param options: see L{Daemon}.
        """
        super().__init__(plan, reactor=reactor, **options)
        self._handed = handed
        self._simulator: IListeningPort | None = None
        self._simulated: tuple[Upstream, ...] = ()
        self._factory: RelayFactory | None = None
        self._garbage = Garbage(reactor, self._served)
        self._lag = Lag(reactor, self._metrics.lagged)
        self._fleet = fleet_in(plan, reactor, self._metrics)
        self._secure = SecureDemo(reactor)
        self._withheld = Withheld()
        self._withdrawn: Withdrawn | None = None

    def _open(self) -> None:
        self._settings = self._within_descriptors(self._plan.settings)
        if self._plan.demo:
            self._simulator, upstream = start_simulator(self._reactor)
            self._simulated = (upstream,)
        self._factory = factory = RelayFactory(
            listeners=(LogRecords(), self._metrics),
            reactor=self._reactor,
            **self._parts(self._plan, self._settings),
        )
        if self._fleet is not None:
            self._factory.join(self._fleet)
        self._look_for_withdrawn()
        listeners = self._settings.listeners
        where = self._handed or [listener.endpoint for listener in listeners]
        for listener, endpoint in zip(listeners, where, strict=True):
            self._listeners.listen(listener, factory.at(listener.endpoint), endpoint)
        self._metrics.certified(validities(listeners))
        if self._plan.demo and listeners == Settings().listeners:
            self._listen_securely(factory)
        if self._settings.admin:  # last, because a relay that answers there must be ready
            admin = factory.admin(self._metrics, self.end)
            self._listeners.listen_for_admin(self._settings.admin, admin)

    def _parts(self, plan: Plan, settings: Settings) -> dict[str, Any]:
        """What the factory is made of, or configured by."""
        upstreams = self._simulated or plan.upstreams
        return {
            "upstreams": upstreams,
            "admit": admit_by(evolve(plan.access, client_keys=self._keys(plan)), self._reactor),
            "settings": settings,
            "signing_keys": plan.access.signing,
            "console": self._console(upstreams[0]) if settings.console else None,
        }

    def _take(self, plan: Plan) -> None:
        """
        Be what this plan says, for new requests.

        @raise RelayError: if that cannot be; then nothing has changed.
        """
        assert self._factory is not None, "nothing is taken before the relay listens"
        settings = self._within_descriptors(plan.settings)
        self._listeners.check_access(plan.guarded)
        certificates = certificates_of(settings.listeners)
        valid = validities(settings.listeners)
        parts = self._parts(plan, settings)
        self._notify.reloading()
        try:
            self._factory.configure(**parts)
        finally:
            self._notify.ready()
        self._listeners.renew(certificates)
        self._metrics.certified(valid)
        self._plan, self._settings = plan, settings
        self._look_for_withdrawn()

    def _look_for_withdrawn(self) -> None:
        """Have the sessions of those ended whose key is taken out, if the settings say so."""
        assert self._factory is not None, "it is made before its keys are looked at"
        keys = self._keys(self._plan) if self._settings.auth.end_revoked else None
        if self._withdrawn is not None and keys is not None:
            self._withdrawn.keys = keys
            return
        if self._withdrawn is not None:
            self._withdrawn.stop()
        self._withdrawn = None
        if keys is not None:
            revoke = self._factory.handles.revoke
            self._withdrawn = Withdrawn(keys, revoke, self._tell_withdrawn, self._reactor)
            if self.running:
                self._withdrawn.start()

    def _keys(self, plan: Plan) -> ClientKeys | None:
        """The keys of clients, but those that another relay of the fleet has found taken out."""
        keys, auth = plan.access.client_keys, plan.settings.auth
        files = [*filter(None, (auth.keys_file, auth.token_file))]
        return keys and self._withheld.without(keys, files)

    def _tell_withdrawn(self, digest: bytes) -> None:
        if self._fleet is not None and digest not in self._withheld:
            self._fleet.withdraw(digest)

    def _withhold(self, digest: bytes, seconds: float) -> None:
        self._withheld.add(digest, epoch() - seconds)

    def _console(self, upstream: Upstream) -> Console:
        models = [*upstream.models, upstream.traits.sample]
        return Console(is_demo=self._plan.demo, model=models[0])

    def _within_descriptors(self, settings: Settings) -> Settings:
        """Take no more sessions than there can be descriptors for, and say so."""
        descriptors = raise_limit()
        files = settings.record_files if settings.record is not None else 0
        most = sessions_within(descriptors - files, SESSION_IN_DEMO if self._plan.demo else SESSION)
        limits = settings.limits
        if limits.sessions > most:
            _log.warn(
                "sessions is {wanted}, but {descriptors} descriptors suffice for {most}: raise the"
                " limit of open files (ulimit -n, or LimitNOFILE= of systemd), or lower sessions",
                wanted=limits.sessions,
                descriptors=int(descriptors),
                most=int(most),
            )
            return evolve(settings, limits=evolve(limits, sessions=int(most)))
        return settings

    def _begin(self) -> None:
        self._garbage.start()
        self._lag.start()
        if self._fleet is not None and self._factory is not None:
            self._fleet.start(self._factory.revoked_elsewhere, self._withhold)
        if self._withdrawn is not None:
            self._withdrawn.start()
        self._reload.start()
        self._reactor.callWhenRunning(self._notify.ready)

    def _status(self) -> str:
        factory = self._factory
        assert factory is not None, "it is asked once the relay listens"
        state = "serving" if factory.is_ready else "draining"
        return f"{state}, sessions: {factory.active_sessions}, holds: {factory.active_holds}"

    def _served(self) -> int:
        factory = self._factory
        return 0 if factory is None else factory.active_holds + factory.active_sessions

    def _abort(self) -> None:
        if self._factory is not None:
            self._factory.abort()

    def _halt(self) -> None:
        self._garbage.stop()
        self._lag.stop()
        if self._withdrawn is not None:
            self._withdrawn.stop()

    @property
    def _leaves(self) -> bool:
        """Whether another relay is to go on listening where this one does."""
        return self._listeners.has_inherited

    def _leave(self) -> None:
        self._listeners.leave(every=False)

    async def _drain(self) -> None:
        assert self._factory is not None, "it is made before the relay listens"
        drained = self._factory.drain(self._leave if self._leaves else None)
        self._notify.stopping(self._drain_seconds)
        await drained
        self._factory.recordings.flush(FLUSH_SECONDS)

    def _close(self) -> object:
        if self._fleet is not None:  # not sooner, because it is told of each session's end
            self._fleet.stop()
        self._secure.stop()
        return self._simulator.stopListening() if self._simulator is not None else None

    def _listen_securely(self, factory: RelayFactory) -> None:
        port = self._secure.listen(factory.at(ENDPOINT))
        if port is not None:
            self._listeners.adopt(port, ENDPOINT)
