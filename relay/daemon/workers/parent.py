"""
The parent of workers: it makes the sockets, begins the workers and speaks for all of them, and
serves nobody itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from secrets import token_bytes
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from relay.admission.authorizers import admit_by
from relay.config.listeners import adopted
from relay.config.plan import Flags, Plan
from relay.daemon.base import Daemon
from relay.daemon.descriptors import raise_limit
from relay.daemon.workers.crew import Crew
from relay.daemon.workers.process import WorkerProcess, spawn
from relay.daemon.workers.shares import Shares, make
from relay.daemon.workers.slot import Slot
from relay.daemon.workers.start import Start, packed
from relay.factory import RelayFactory
from relay.telemetry.snapshot import Snapshot
from relay.timing.deadline import Deadline
from relay.web.admin import AdminFactory

_log = Logger()

TICK_SECONDS = 1.0

KILL_SECONDS = 5.0
"""How much longer than its drain a worker may take to end; or how long, if it is to end at once."""


@frozen
class Likeness:
    """
    In what workers are like their parent.

    @ivar flags: its command line.
    @ivar observer: makes an observer in its log's format.
    @ivar sparing: whether lines that repeat are left out of the log.
    @ivar reactor: the name of its reactor; L{None} for the usual one.
    """

    flags: Flags
    observer: Any
    sparing: bool
    reactor: str | None


class ParentService(Daemon):
    """
    The service of the parent.

    @param alike: in what its workers are like it.
    """

    def __init__(
        self,
        plan: Plan,
        alike: Likeness,
        *,
        environ: Mapping[str, str] = os.environ,
        **options: Any,
    ) -> None:
        super().__init__(plan, environ=environ, **options)
        self._alike = alike
        self._environ = environ
        self._metrics.workers = 0
        self._factory: RelayFactory | None = None
        self._signing = (token_bytes(32),)
        self._sockets: list[Any] = []
        workers = plan.settings.workers
        self._shares = make(workers)
        shares = Shares(self._shares, workers)
        self._slots = [
            Slot(n, self._spawn, self._write, shares, self._reactor, self._ended, self._ready)
            for n in range(workers)
        ]
        self._crew = Crew(self._slots, self._counted)
        self._tick = Deadline(self._reactor)
        self._killing = Deadline(self._reactor)
        self._all_over: Deferred[None] | None = None
        self._is_told = False

    # -- the start -----------------------------------------------------------------------------

    def _open(self) -> None:
        raise_limit()  # for the workers, which inherit it
        settings = self._settings
        self._factory = factory = RelayFactory(reactor=self._reactor, **self._parts(self._plan))
        for listener in settings.listeners:
            self._listeners.listen(listener, factory.at(listener.endpoint), listener.endpoint)
        self._sockets = self._listeners.ports()
        for port in self._sockets:
            port.stopReading()  # the workers accept
        if settings.admin:
            admin = AdminFactory(factory, self._crew, self.end, self._reactor)
            self._listeners.listen_for_admin(settings.admin, admin)

    def _parts(self, plan: Plan) -> dict[str, Any]:
        return {
            "upstreams": plan.upstreams,
            "admit": admit_by(plan.access, self._reactor),
            "settings": plan.settings,
            "signing_keys": plan.access.signing or self._signing,
        }

    def _begin(self) -> None:
        self._reactor.callWhenRunning(self._begin_all)

    def _begin_all(self) -> None:
        for slot in self._slots:
            slot.begin()
        self._tick.set(TICK_SECONDS, self._ticks)

    def _ticks(self) -> None:
        self._tick.set(TICK_SECONDS, self._ticks)
        for slot in self._slots:
            slot.tick()

    def _spawn(self, number: int, process: WorkerProcess) -> None:
        listeners = self._settings.listeners
        start = Start(
            number,
            len(self._slots),
            self._settings,
            self._alike.flags,
            tuple(
                adopted(listener.endpoint, _domain(port.getHost()), index)
                for index, (listener, port) in enumerate(zip(listeners, self._sockets, strict=True))
            ),
            self._signing,
            self._alike.observer,
            self._alike.sparing,
            self._alike.reactor,
        )
        sockets = [port.fileno() for port in self._sockets]
        spawn(self._reactor, process, start, sockets, self._shares, self._environ)

    def _write(self, lines: str) -> None:
        """Write lines of a worker's log to the parent's own."""
        if self._log is not None:
            self._log.write(lines)
            return
        for line in lines.splitlines():
            _log.info("{line}", line=line)

    def _ready(self) -> None:
        if not self._is_told and all(slot.is_ready for slot in self._slots):
            self._is_told = True
            self._notify.ready()

    # -- while it runs -------------------------------------------------------------------------

    def _take(self, plan: Plan) -> None:
        assert self._factory is not None, "nothing is taken before the relay listens"
        self._listeners.check_access(plan.guarded)
        self._notify.reloading()
        try:
            self._factory.configure(**self._parts(plan))
        finally:
            self._notify.ready()
        self._plan, self._settings = plan, plan.settings
        for slot in self._slots:
            slot.tell("take", packed(plan.settings))

    def _counted(self) -> Snapshot:
        """What the parent itself has counted; it serves nobody."""
        assert self._factory is not None, "it is made before anything is shown"
        counted, workers = self._metrics.snapshot(self._factory), "relay_workers"
        ended = counted.once_ended()
        values = {**ended.values, workers: counted.values[workers]}  # 0, if there is none
        return evolve(ended, values=values, process=counted.process)

    def _status(self) -> str:
        counted = self._crew.snapshot()
        sessions, holds = (counted.one(f"relay_{each}_active") for each in ("sessions", "holds"))
        workers = f"workers: {int(counted.one('relay_workers'))}"
        return f"{self._crew.state}, {workers}, sessions: {int(sessions)}, holds: {int(holds)}"

    def _ended(self, counted: Snapshot | None, was_told: bool) -> None:
        self._crew.departed(counted)
        if not was_told:
            self._metrics.worker_ended()
        if self._all_over is not None and all(slot.is_over for slot in self._slots):
            self._all_over.callback(None)
            self._all_over = None

    # -- the end -------------------------------------------------------------------------------

    def _abort(self) -> None:
        for slot in self._slots:
            slot.end("abort")
        self._killing.set(KILL_SECONDS, self._kill)

    def _halt(self) -> None:
        self._crew.is_ending = True

    async def _drain(self) -> None:
        self._notify.stopping(self._drain_seconds)
        for slot in self._slots:
            slot.end("end")
        if all(slot.is_over for slot in self._slots):
            return
        over = self._all_over = Deferred[None]()
        if not self._killing.is_set:
            self._killing.set(self._drain_seconds + KILL_SECONDS, self._kill)
        await over

    def _kill(self) -> None:
        for slot in self._slots:
            if not slot.is_over:
                _log.error("{name} does not end, and is killed", name=slot.name)
                slot.kill()

    def _close(self) -> object:
        self._tick.clear()
        self._killing.clear()
        os.close(self._shares)
        return None


def _domain(address: IAddress) -> str:
    """The family of a listening socket, as a C{systemd:} endpoint has it."""
    kinds = {"IPv4Address": "INET", "IPv6Address": "INET6", "UNIXAddress": "UNIX"}
    return kinds[type(address).__name__]
