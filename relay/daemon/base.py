"""What every service of the daemon does: it starts or says why not, reloads, drains, and ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from relay.config.plan import Faults, Plan
from relay.config.settings import Settings
from relay.daemon.listeners import Listeners
from relay.daemon.logfile import LogWriter
from relay.daemon.notify import Notify
from relay.daemon.redaction import Redaction, keys_of
from relay.daemon.reload import Reload
from relay.daemon.signals import Signals
from relay.telemetry.metrics import Metrics

_log = Logger()


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


class Daemon(Service):
    """
    A service that listens from its privileged start until it is stopped. What it serves, and how,
    is for its subclasses to say.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        reactor: Any,
        find: Callable[[Settings | None], Plan | Faults] | None = None,
        observer: ILogObserver | None = None,
        log: LogWriter | None = None,
        redaction: Redaction | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """
        @param plan: what the relay is to be. In a demo its upstreams are not used.
        @param find: finds what it is to be later (see L{Reload}); by default, the same.
        @param observer: what the application logs to, instead of C{twistd}'s own observer.
        @param log: what C{observer} writes to; it is started with this service.
        @param redaction: what stands between the two, to be told of the keys.
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
        if redaction is not None:
            redaction.keys = lambda: keys_of(self._plan)
        self._listeners = Listeners(
            reactor, plan.guarded, plan.settings.base_path, self._cannot_start
        )
        self._notify = Notify(reactor, self._status, environ)
        self._faults: list[str] = []
        self._is_open = False

    # -- what a subclass says ----------------------------------------------------------------

    def _open(self) -> None:
        """Make what is served, and listen everywhere."""
        raise NotImplementedError

    def _begin(self) -> None:
        """The service starts."""
        raise NotImplementedError

    def _take(self, plan: Plan) -> None:
        """
        Be what this plan says, for new requests.

        @raise RelayError: if that cannot be; then nothing has changed.
        """
        raise NotImplementedError

    def _status(self) -> str:
        """How it is doing, in a line."""
        raise NotImplementedError

    def _abort(self) -> None:
        """Drop all that is open now."""
        raise NotImplementedError

    def _halt(self) -> None:
        """The service stops: do nothing more by itself."""
        raise NotImplementedError

    async def _drain(self) -> None:
        """End what is open, in the times of the settings."""
        raise NotImplementedError

    def _close(self) -> object:
        """Close what was opened besides the listeners; return a Deferred if that takes time."""
        raise NotImplementedError

    # -- the service -------------------------------------------------------------------------

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
        self._is_open = True
        self._open()
        if self._faults:
            self._give_up()

    def startService(self) -> None:
        """Start; also listen, if the application skipped the privileged start."""
        if not self._is_open:
            self.privilegedStartService()
        super().startService()
        self._begin()
        self._signals().survive()

    def _signals(self) -> Signals:
        signals = Signals(
            self._reactor, self._drain_seconds, self.end, self._abort, self._reload.by_signal
        )
        self._reactor.callWhenRunning(signals.install)
        return signals

    @property
    def _drain_seconds(self) -> float:
        """Seconds that the end may take."""
        return self._settings.drain_delay_seconds + self._settings.drain_seconds + 1

    def end(self) -> None:
        """Stop the reactor, which stops this service."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """
        Drain the relay (see L{RelayFactory.drain}), then stop listening. During the drain, a client
        that connects is told that the relay ends, rather than finding the port closed. On a socket
        of systemd's it waits instead, for the relay that comes next.

        @return: fires when that is done.
        """
        if self.running:
            self._reload.stop()
            self._halt()
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._is_open:
            await self._drain()
        for stopped in self._listeners.stop():
            await stopped
        self._notify.stop()
        closed = self._close()
        if isinstance(closed, Deferred):
            await closed

    # -- a start that fails ------------------------------------------------------------------

    def _cannot_start(self, line: str) -> None:
        _log.critical("{line}", line=line)
        self._faults.append(line)
        # Twisted's endpoints listen or fail at once. A plug-in's endpoint may fail later; then the
        # relay stops, because it should not seem to run without one of its listeners.
        if self.running:
            self._reactor.stop()

    def _give_up(self) -> NoReturn:
        self._listeners.stop()
        self._close()
        # By now sys.stderr goes to the log. In a daemon, sys.__stderr__ is closed.
        for line in self._faults:
            print(f"realtime-relay: {line}", file=sys.__stderr__)
        raise CannotStart(self._faults[0])
