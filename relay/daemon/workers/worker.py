"""
One worker: a relay in a process of its own, which does what its parent tells it.

Run as C{python -c} with L{relay.daemon.workers.process.BOOT}.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, cast

from attrs import evolve
from twisted.application.reactors import installReactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogBeginner
from zope.interface import provider

from relay.config.plan import Faults, Plan, plan_again
from relay.config.settings import Settings
from relay.daemon.logfile import END_SECONDS, LogWriter, Writable
from relay.daemon.logs import system_of
from relay.daemon.redaction import Redaction
from relay.daemon.service import RelayService
from relay.daemon.signals import Signals
from relay.daemon.sparing import Sparing
from relay.daemon.workers.channel import Channel, Once
from relay.daemon.workers.shares import ABSENT, Shares
from relay.daemon.workers.start import Start, received, settings_in
from relay.daemon.workers.watched import Shown
from relay.rules.closes import Side
from relay.telemetry.records import Traffic
from relay.timing.clock import use_monotonic_clock
from relay.timing.deadline import Deadline, limit
from relay.web.overview import OwnOverview

REPORT_SECONDS = 1.0
"""From one report to the next."""

LOOKS_A_SECOND = 1000
"""Sessions a second, on the average, whose traffic is looked at: that takes 1 % of the time."""

FAREWELL_SECONDS = 1.0
"""How long the last report may take to be read."""

ALONE_SECONDS = 0.5
"""
How long a worker that is sent a signal waits to be told that the whole relay ends. Systemd sends a
service's signal to each of its processes.
"""

STDOUT = 1
"""The descriptor that the parent reads lines from."""


class WorkerService(RelayService):
    """
    A relay that listens where its parent does, reports to it, and takes new settings from it.

    @param find: finds the plan for settings, as L{planned} does.
    """

    def __init__(self, plan: Plan, start: Start, shares: Shares, **options: Any) -> None:
        self._start = start
        super().__init__(plan, handed=start.endpoints, **options)
        self._shares = shares
        self._listeners.yield_when(self._is_ahead)
        self._overview: OwnOverview | None = None
        self._next = Deadline(self._reactor)
        self._alone = Deadline(self._reactor)
        self._is_watched = self._is_alone = False
        self._looks_at = 0.0
        self._gone: Deferred[None] = Deferred()
        does: dict[str, Callable[..., object]] = {
            "end": self._end_with_all,
            "abort": self._abort,
            "take": self._take_settings,
            "watch": self._watch,
            "page": lambda wanted, start: self._sessions.page(wanted, start),
            "show": lambda id: self._sessions.show(id),
            "close": lambda id: self._sessions.close(id),
            "revoke": lambda subject: self._sessions.revoke(subject),
            "look": lambda *asked: self._shown.look(self._sessions, *asked),
            "look_away": lambda number: self._shown.look_away(number),
        }
        self.channel = Channel(does, self._reactor, self._lost)
        self._shown = Shown(self.channel)

    @property
    def _sessions(self) -> Any:
        assert self._overview is not None, "nothing is asked of a worker that has not reported"
        return self._overview.directory

    def _parts(self, plan: Plan, settings: Settings) -> dict[str, Any]:
        parts = super()._parts(plan, settings)
        return {**parts, "signing_keys": parts["signing_keys"] or self._start.signing}

    def _open(self) -> None:
        super()._open()
        assert self._factory is not None, "it was made just now"
        self._overview = self._factory.overview(self._metrics)

    def _begin(self) -> None:
        super()._begin()
        self._reactor.callWhenRunning(self._report)

    def _signals(self) -> Signals:
        """The parent takes new settings, and tells."""
        signals = Signals(
            self._reactor, self._drain_seconds, self._signalled, self._abort, lambda: None
        )
        self._reactor.callWhenRunning(signals.install)
        return signals

    # -- what the parent wants -----------------------------------------------------------------

    def _take_settings(self, packed: str) -> None:
        self._reload.take("SIGHUP", settings_in(packed))

    def _watch(self) -> None:
        """Tell in the next report what a dashboard shows besides counts."""
        self._is_watched = True

    def _report(self) -> None:
        self._next.set(REPORT_SECONDS, self._report)
        self._is_ahead()  # which tells the others how many it has
        factory, now = self._factory, self._reactor.seconds()
        assert factory is not None, "it listens"
        if now < self._looks_at:
            self._tell_report(factory.gathered())
            return
        self._looks_at = now + factory.active_sessions / LOOKS_A_SECOND
        factory.gather().addCallback(self._tell_report)

    def _tell_report(self, traffic: Mapping[Side, Traffic]) -> None:
        if not self.channel.is_full:
            self.channel.tell("report", self._told(traffic))

    def _told(self, traffic: Mapping[Side, Traffic]) -> dict[str, object]:
        overview, factory = self._overview, self._factory
        assert overview is not None, "it listens"
        assert factory is not None, "it listens"
        told = {
            "ready": overview.is_ready,
            "upstreams": overview.upstreams(),
            "fleet": [*filter(None, [overview.fleet()])],
            "counted": self._metrics.snapshot(factory, traffic).as_json(),
        }
        if self._is_watched:
            told |= {"oldest": overview.oldest(), "refusals": overview.refusals()}
            self._is_watched = False
        return told

    def _is_ahead(self) -> bool:
        """Whether another worker has fewer connections."""
        assert self._factory is not None, "it listens"
        if self._is_alone:
            self._shares.set(self._start.number, ABSENT)
            return False
        return self._shares.is_ahead(self._start.number, self._factory.connections)

    # -- the end -------------------------------------------------------------------------------

    def _end_with_all(self) -> None:
        self._alone.clear()
        self.end()

    def _signalled(self) -> None:
        self._alone.set(ALONE_SECONDS, self._end_alone)

    def _end_alone(self) -> None:
        """End where others go on, or come next: the parent is gone, or has told of no end."""
        self._is_alone = True
        if self.running:
            self.end()
        else:
            self._leave()

    @property
    def _leaves(self) -> bool:
        """Clients are for the other workers, or those of the next parent."""
        return self._is_alone or super()._leaves

    def _leave(self) -> None:
        self._listeners.leave(every=self._is_alone)

    def _lost(self) -> None:
        if self._gone.called:
            return
        self._gone.callback(None)
        self._shown.look_away_from_all()
        self._end_alone()

    async def _stop(self) -> None:
        await super()._stop()
        self._next.clear()
        self._alone.clear()
        if self._overview is not None and not self._gone.called:
            assert self._factory is not None, "it listens"
            self.channel.tell("report", self._told(self._factory.gathered()))
            assert self.channel.transport is not None, "it is not lost"
            self.channel.transport.loseConnection()
            limit(self._gone, FAREWELL_SECONDS, self._reactor, TimeoutError)
            await self._gone.addErrback(lambda late: late.trap(TimeoutError) and None)


def planned(start: Start, settings: Settings | None) -> Plan | Faults:
    """
    The plan of a worker.

    @param settings: what the parent has taken; L{None} for what it had at the start.
    """
    found = plan_again(
        evolve(settings or start.settings, admin=""), evolve(start.flags, listens=False), os.environ
    )
    return evolve(found, advice=()) if isinstance(found, Plan) else found


def main() -> None:
    """
    Run until told to end.

    @raise SystemExit: if it cannot start; the lines on standard error say why.
    """
    end = socket.socket(fileno=int(sys.argv[1]))
    start = received(end)
    if start.reactor is not None:
        installReactor(start.reactor)
    from twisted.internet import reactor

    _run(reactor, start, end, Shares(int(sys.argv[2]), start.workers))


def _run(reactor: Any, start: Start, end: socket.socket, shares: Shares) -> None:
    use_monotonic_clock(reactor)
    log = LogWriter(lambda: STDOUT, start.observer)
    redaction = Redaction(log)
    atexit.register(log.flush, END_SECONDS)
    observer = _observer(start, redaction, reactor)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    plan = planned(start, None)
    if not isinstance(plan, Plan):
        _give_up(plan)
    parts: dict[str, Any] = {"log": log, "redaction": redaction, "environ": {}}
    service = WorkerService(
        plan, start, shares, reactor=reactor, find=partial(planned, start), **parts
    )
    reactor.adoptStreamConnection(end.fileno(), socket.AF_UNIX, Once(service.channel))
    end.close()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()


def _give_up(faults: Sequence[str]) -> NoReturn:
    raise SystemExit("\n".join(f"realtime-relay: {fault}" for fault in faults))


def _observer(start: Start, log: Writable, reactor: Any) -> ILogObserver:
    observer = marked(start.observer(log), start.number + 1)
    if start.sparing:
        sparing = Sparing(observer, partial(reactor.callFromThread, reactor.callLater))
        atexit.register(sparing.finish)
        return sparing
    return observer


def marked(observer: ILogObserver, worker: int) -> ILogObserver:
    """What says with each event which worker logs it."""

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        observer({**event, "worker": worker, "log_system": f"worker {worker} {system_of(event)}"})

    return cast(ILogObserver, observe)
