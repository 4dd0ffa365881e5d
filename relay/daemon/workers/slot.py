"""The place of one worker: it is begun, watched, and begun anew when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.daemon.workers.channel import Channel, NoAnswer
from relay.daemon.workers.process import WorkerProcess
from relay.daemon.workers.restarts import Restarts
from relay.daemon.workers.shares import ABSENT, Shares
from relay.daemon.workers.watched import Watched
from relay.telemetry.snapshot import Snapshot
from relay.timing.deadline import Deadline

_log = Logger()

LATE = 3
"""How many ticks a worker may say nothing; then the others do not leave clients to it."""

SILENT = 30
"""How many ticks until it counts as one that hangs, and is killed."""

KEPT = 3
"""How many reports a list is kept that they do not tell."""


class Slot:
    """
    One place.

    @param begin: begins the process of this place.
    @param write: takes lines of its log.
    @param ended: called when a worker has ended, with what it had counted, and whether it was told
        to.
    @param ready: called when a worker serves.
    @ivar report: what the worker told last; L{None} if none serves.
    @ivar watched: who watches its sessions.
    @ivar is_ending: whether none is begun anew.
    """

    def __init__(
        self,
        number: int,
        begin: Callable[[int, WorkerProcess], None],
        write: Callable[[str], object],
        shares: Shares,
        clock: IReactorTime,
        ended: Callable[[Snapshot | None, bool], object],
        ready: Callable[[], object],
    ) -> None:
        self.number = number
        self._begin = begin
        self._write = write
        self._shares = shares
        self._clock = clock
        self._ended = ended
        self._ready = ready
        self._restarts = Restarts()
        self._again = Deadline(clock)
        self.watched = Watched(self.ask, self.tell)
        self._process: WorkerProcess | None = None
        self._began = 0.0
        self._silent = 0
        self._remains = self._unlisted = 0
        self._how = ""
        self.report: Mapping[str, Any] | None = None
        self.counted: Snapshot | None = None
        self.is_ending = False

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"worker {self.number + 1}"

    @property
    def is_ready(self) -> bool:
        """Whether it takes new sessions."""
        return self.report is not None and bool(self.report["ready"])

    @property
    def is_over(self) -> bool:
        """Whether no process is here."""
        return self._process is None

    def begin(self) -> None:
        """Begin a worker."""
        does: dict[str, Callable[..., object]] = {
            "report": self._reported,
            "crossed": self.watched.crossed,
        }
        channel = Channel(does, self._clock, self._over)
        self._process = WorkerProcess(channel, self._write, self._complain, self._exited)
        self._began, self._silent, self._remains = self._clock.seconds(), 0, 2
        try:
            self._begin(self.number, self._process)
        except OSError as error:
            if channel.transport is None:  # else it is lost now
                self._remains = 1
            self._exited(f"{error.strerror}, before it began")

    def tick(self) -> None:
        """
        A report is due. Not the time is measured that a worker says nothing, but how often: a
        machine that slept has not heard it either.
        """
        self._silent += 1
        if self._silent == LATE:
            self._shares.set(self.number, ABSENT)
        if self._silent == SILENT and self._process is not None:
            _log.error(
                "{name} (process {pid}) has said nothing for {seconds} s: it hangs, and is killed",
                name=self.name,
                pid=self._process.pid,
                seconds=SILENT,
            )
            self.kill()

    def tell(self, name: str, *values: object) -> None:
        """Have the worker do something, if there is one."""
        if self._process is not None:
            self._process.channel.tell(name, *values)

    def ask(self, name: str, *values: object) -> Deferred[Any]:
        """What the worker answers; fails with L{NoAnswer}."""
        if self._process is None:
            return fail(NoAnswer())
        return self._process.channel.ask(name, *values)

    def end(self, how: Literal["end", "abort"]) -> None:
        """
        Have the worker end, and begin no other.

        It is told by its channel, because systemd sends each process of a service a signal, and a
        second one has a relay end at once.
        """
        self.is_ending = True
        self._again.clear()
        self.tell(how)

    def kill(self) -> None:
        """End the process now, if there is one."""
        if self._process is not None:
            self._process.signal("KILL")

    def _reported(self, report: Mapping[str, Any]) -> None:
        is_first, self._silent = self.report is None, 0
        # Lists that nobody looked at are not told; those from before stay for a moment.
        self._unlisted = 0 if "oldest" in report else self._unlisted + 1
        before = self.report if self._unlisted <= KEPT else None
        self.report = {**(before or {}), **report}
        self.counted = Snapshot.from_json(report["counted"])
        if is_first:
            assert self._process is not None, "it has reported"
            _log.info("{name} serves, as process {pid}", name=self.name, pid=self._process.pid)
            self._ready()

    def _complain(self, line: str) -> None:
        _log.error("{name}: {line}", name=self.name, line=line)

    def _exited(self, how: str) -> None:
        self._how = how
        self._over()

    def _over(self) -> None:
        """The process has ended, or all that it told is read; when both are so, it is over."""
        self._remains -= 1
        if self._remains:
            return
        self._shares.set(self.number, ABSENT)
        self.watched.lost()
        if not self.is_ending:
            self._begin_again()
        counted = self.counted
        self._process = self.report = self.counted = None
        self._ended(counted, self.is_ending)

    def _begin_again(self) -> None:
        assert self._process is not None, "it has ended just now"
        sessions = self.counted.one("relay_sessions_active") if self.counted else 0
        wait = self._restarts.wait(self._clock.seconds() - self._began)
        _log.error(
            "{name} (process {pid}) ended with {how}, and with it {sessions} sessions; another one"
            " begins in {wait:g} s",
            name=self.name,
            pid=self._process.pid,
            how=self._how,
            sessions=int(sessions),
            wait=wait,
        )
        self._again.set(wait, self.begin)
