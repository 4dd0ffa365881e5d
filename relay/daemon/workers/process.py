"""The process of a worker, as its parent sees it: its lines, its socket, its end."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from relay.daemon.workers.channel import Channel, Once
from relay.daemon.workers.start import Start

BOOT = (
    "import os, sys; os.setsid(); sys.path[:] = sys.argv[3:];"
    " os.environ['LISTEN_PID'] = str(os.getpid());"
    " from relay.daemon.workers.worker import main; main()"
)
"""
What Python is to run. It begins a session of its own, because a terminal's Ctrl-C is for the parent
alone, which tells its workers. It imports from where its parent does: by itself, C{python -c} would
look first in the folder in which the relay was started. Twisted looks at C{LISTEN_PID} when it is
imported, and only the process itself knows its number.
"""

FIRST = 3
"""The first of the descriptors that C{LISTEN_FDS} counts. Source: sd_listen_fds(3)."""

NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID")
"""What systemd says to the parent alone."""


def environ_of(environ: Mapping[str, str], sockets: int) -> dict[str, str]:
    """The environment of a worker that is handed so many listening sockets."""
    own = {name: value for name, value in environ.items() if name not in NOT_FOR_WORKERS}
    return {**own, "LISTEN_FDS": str(sockets), "LISTEN_FDNAMES": ":".join(["relay"] * sockets)}


class WorkerProcess(ProcessProtocol):
    """
    One process.

    @param channel: what it is asked by.
    @param write: takes whole lines of its log.
    @param complain: takes each line of its standard error, which is no log: what Python says when
        the process cannot live.
    @param ended: called with how it ended, once it is gone and has said all.
    @ivar pid: its number; 0 before it runs.
    """

    def __init__(
        self,
        channel: Channel,
        write: Callable[[str], object],
        complain: Callable[[str], object],
        ended: Callable[[str], object],
    ) -> None:
        self.channel = channel
        self._out, self._err = _Lines(write), _Lines(partial(_each, complain))
        self._ended = ended
        self.pid = 0

    def connectionMade(self) -> None:
        """It runs."""
        self.pid = self._process.pid

    @property
    def _process(self) -> Any:
        return self.transport

    def outReceived(self, data: bytes) -> None:
        """Pass whole lines on."""
        self._out.add(data)

    def errReceived(self, data: bytes) -> None:
        """Pass whole lines on."""
        self._err.add(data)

    def signal(self, name: str) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessExitedAlready):  # which is told to processEnded
            self._process.signalProcess(name)

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it wrote is read."""
        for lines in (self._out, self._err):
            lines.end()
        self._ended(_words(reason.value))


class _Lines:
    """Text that comes in parts, and is passed on in whole lines."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._rest = b""

    def add(self, data: bytes) -> None:
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._write((lines + newline).decode("utf-8", "replace"))

    def end(self) -> None:
        if self._rest:
            self.add(b"\n")


def _each(take: Callable[[str], object], lines: str) -> None:
    for line in lines.splitlines():
        take(line)


def _words(error: Any) -> str:
    """How a process ended."""
    return f"signal {error.signal}" if error.signal else f"status {error.exitCode}"


def spawn(
    reactor: Any,
    process: WorkerProcess,
    start: Start,
    sockets: Sequence[int],
    shares: int,
    environ: Mapping[str, str],
) -> None:
    """
    Begin a worker.

    @param sockets: descriptors of listening sockets, in the order of its endpoints.
    @param shares: the descriptor of what L{relay.daemon.workers.shares} keeps.
    @raise OSError: if there is no descriptor, process or memory for it.
    """
    own, its = socket.socketpair()
    null = os.open(os.devnull, os.O_RDONLY)
    handed = [*sockets, its.fileno(), shares]
    channel = FIRST + len(sockets)
    try:
        reactor.adoptStreamConnection(own.fileno(), socket.AF_UNIX, Once(process.channel))
        process.channel.transport.write(start.packed())  # type: ignore[union-attr]
        reactor.spawnProcess(
            process,
            sys.executable,
            [sys.executable, "-c", BOOT, str(channel), str(channel + 1), *sys.path],
            env=environ_of(environ, len(sockets)),
            childFDs={0: null, 1: "r", 2: "r", **dict(enumerate(handed, FIRST))},
        )
    finally:
        own.close()
        its.close()
        os.close(null)
