"""The relay as a service: its factory, its listeners, and in a demo the built-in upstream."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from relay.admission.authorizers import admit_by
from relay.config.plan import Faults, Plan
from relay.config.settings import Settings
from relay.daemon.demo import ENDPOINT, SecureDemo
from relay.daemon.descriptors import raise_limit, sessions_within
from relay.daemon.garbage import Garbage
from relay.daemon.lag import Lag
from relay.daemon.listeners import Listeners, certificates_of
from relay.daemon.listening import validities
from relay.daemon.logfile import LogWriter
from relay.daemon.notify import Notify
from relay.daemon.reload import Reload
from relay.daemon.signals import Signals
from relay.daemon.withdrawn import Withdrawn
from relay.factory import RelayFactory
from relay.simulator import SimulatorFactory
from relay.telemetry.lines import LogRecords
from relay.telemetry.metrics import Metrics
from relay.upstreams.upstream import Upstream
from relay.web.console import Console

_log = Logger()

SESSION, SESSION_IN_DEMO = 2, 3
"""Descriptors of a session; in a demo one is the simulator's."""


class CannotStart(SystemExit, Exception):
    """
    The service cannot start; one line says why.

    C{twistd} takes a bare L{SystemExit} for success: the pid file stays, and the parent of a daemon
    is told nothing. It takes any other exception for a failure: it cleans up, and prints a
    traceback. An exception that is both makes it clean up and exit with 1, without a traceback; a
    daemon's parent prints the first 100 bytes of the line.
    """

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.code = 1


def start_simulator(reactor: Any) -> tuple[IListeningPort, Upstream]:
    """The built-in upstream, listening on loopback."""
    port = reactor.listenTCP(0, SimulatorFactory(reactor), interface="127.0.0.1")
    url = f"ws://127.0.0.1:{port.getHost().port}/v1/realtime"
    return port, Upstream(url, name="simulator", breaker=False)


class RelayService(Service):
    """Listens where the settings say, from its privileged start until it is stopped."""

    def __init__(
        self,
        plan: Plan,
        *,
        reactor: Any,
        find: Callable[[Settings | None], Plan | Faults] | None = None,
        observer: ILogObserver | None = None,
        log: LogWriter | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """
        @param plan: what the relay is to be. In a demo its upstreams are not used.
        @param find: finds what it is to be later (see L{Reload}); by default, the same.
        @param observer: what the application logs to, instead of C{twistd}'s own observer.
        @param log: what C{observer} writes to; it is started with this service.
        @param environ: the environment variables, where systemd says whether it is to be told.
        """
        self._plan = plan
        self._settings = plan.settings
        self._metrics = Metrics()
        self._reload = Reload(
            plan, find or (lambda _: plan), self._take, self._metrics.reloaded, reactor
        )
        self._reactor = reactor
        self._observer = observer
        self._log = log
        self._listeners = Listeners(
            reactor, plan.guarded, plan.settings.base_path, self._cannot_start
        )
        self._simulator: IListeningPort | None = None
        self._simulated: tuple[Upstream, ...] = ()
        self._factory: RelayFactory | None = None
        self._garbage = Garbage(reactor, self._served)
        self._lag = Lag(reactor, self._metrics.lagged)
        self._notify = Notify(reactor, self._status, environ)
        self._secure = SecureDemo(reactor)
        self._withdrawn: Withdrawn | None = None
        self._faults: list[str] = []

    def setServiceParent(self, parent: Any) -> None:
        """
        Join the application, and set its log observer. C{twistd} asks for the observer right after
        this, before it logs its first line.
        """
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """
        Listen everywhere. At this time a daemon has forked, and may still use low ports.

        @raise CannotStart: if a listener cannot listen, or would be open to all without
            authentication.
        """
        super().privilegedStartService()
        if self._log is not None:
            self._log.start()
        for line in self._plan.advice:
            _log.warn("{line}", line=line)
        self._settings = self._within_descriptors(self._plan.settings)
        if self._plan.demo:
            self._simulator, upstream = start_simulator(self._reactor)
            self._simulated = (upstream,)
        self._factory = RelayFactory(
            listeners=(LogRecords(), self._metrics),
            reactor=self._reactor,
            **self._parts(self._plan, self._settings),
        )
        self._look_for_withdrawn()
        for listener in self._settings.listeners:
            self._listeners.listen(listener, self._factory.at(listener.endpoint))
        self._metrics.certified(validities(self._settings.listeners))
        if self._plan.demo and self._settings.listeners == Settings().listeners:
            self._listen_securely(self._factory)
        if self._settings.admin:  # last, because a relay that answers there must be ready
            admin = self._factory.admin(self._metrics, self.end)
            self._listeners.listen_for_admin(self._settings.admin, admin)
        if self._faults:
            self._give_up()

    def _parts(self, plan: Plan, settings: Settings) -> dict[str, Any]:
        """What the factory is made of, or configured by."""
        upstreams = self._simulated or plan.upstreams
        return {
            "upstreams": upstreams,
            "admit": admit_by(plan.access, self._reactor),
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
        keys = self._plan.access.client_keys if self._settings.auth.end_revoked else None
        if self._withdrawn is not None and keys is not None:
            self._withdrawn.keys = keys
            return
        if self._withdrawn is not None:
            self._withdrawn.stop()
        self._withdrawn = None
        if keys is not None:
            self._withdrawn = Withdrawn(keys, self._factory.handles.revoke, self._reactor)
            if self.running:
                self._withdrawn.start()

    def _console(self, upstream: Upstream) -> Console:
        models = [*upstream.models, upstream.traits.sample]
        return Console(is_demo=self._plan.demo, model=models[0])

    def _within_descriptors(self, settings: Settings) -> Settings:
        """Take no more sessions than there can be descriptors for, and say so."""
        descriptors = raise_limit()
        most = sessions_within(descriptors, SESSION_IN_DEMO if self._plan.demo else SESSION)
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

    def startService(self) -> None:
        """Start; also listen, if the application skipped the privileged start."""
        if self._factory is None:
            self.privilegedStartService()
        super().startService()
        self._garbage.start()
        self._lag.start()
        if self._withdrawn is not None:
            self._withdrawn.start()
        self._reload.start()
        signals = Signals(
            self._reactor, self._drain_seconds, self.end, self._abort, self._reload.by_signal
        )
        signals.survive()
        self._reactor.callWhenRunning(signals.install)
        self._reactor.callWhenRunning(self._notify.ready)

    @property
    def _drain_seconds(self) -> float:
        """Seconds that the end may take."""
        return self._settings.drain_delay_seconds + self._settings.drain_seconds + 1

    def _status(self) -> str:
        factory = self._factory
        assert factory is not None, "it is asked once the relay listens"
        state = "serving" if factory.is_ready else "draining"
        return f"{state}, sessions: {factory.active_sessions}, holds: {factory.active_holds}"

    def _served(self) -> int:
        factory = self._factory
        return 0 if factory is None else factory.active_holds + factory.active_sessions

    def end(self) -> None:
        """Stop the reactor, which stops this service."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def _abort(self) -> None:
        if self._factory is not None:
            self._factory.abort()

    def stopService(self) -> Deferred[None]:
        """
        Drain the relay (see L{RelayFactory.drain}), then stop listening. During the drain, a client
        that connects is told that the relay ends, rather than finding the port closed. On a socket
        of systemd's it waits instead, for the relay that comes next.

        @return: fires when that is done.
        """
        if self.running:
            self._garbage.stop()
            self._lag.stop()
            self._reload.stop()
            if self._withdrawn is not None:
                self._withdrawn.stop()
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._factory is not None:
            drained = self._factory.drain(
                self._listeners.leave_inherited if self._listeners.has_inherited else None
            )
            self._notify.stopping(self._drain_seconds)
            await drained
        for stopped in self._listeners.stop():
            await stopped
        self._secure.stop()
        self._notify.stop()
        if self._simulator is not None:
            await _done(self._simulator.stopListening())

    def _listen_securely(self, factory: RelayFactory) -> None:
        port = self._secure.listen(factory.at(ENDPOINT))
        if port is not None:
            self._listeners.adopt(port, ENDPOINT)

    def _cannot_start(self, line: str) -> None:
        _log.critical("{line}", line=line)
        self._faults.append(line)
        # Twisted's endpoints listen or fail at once. A plug-in's endpoint may fail later; then the
        # relay stops, because it should not seem to run without one of its listeners.
        if self.running:
            self._reactor.stop()

    def _give_up(self) -> NoReturn:
        self._listeners.stop()
        self._secure.stop()
        if self._simulator is not None:
            self._simulator.stopListening()
        # By now sys.stderr goes to the log. In a daemon, sys.__stderr__ is closed.
        for line in self._faults:
            print(f"realtime-relay: {line}", file=sys.__stderr__)
        raise CannotStart(self._faults[0])


async def _done(result: object) -> None:
    """Wait for a result that may be a Deferred."""
    if isinstance(result, Deferred):
        await result
