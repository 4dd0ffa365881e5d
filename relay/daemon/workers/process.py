"""The process of a worker, as its parent sees it: its lines, its socket, its end."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from relay.daemon.workers.channel import Channel, Once
from relay.daemon.workers.start import Start

BOOT = (
    "import os; os.environ['LISTEN_PID'] = str(os.getpid());"
    " from relay.daemon.workers.worker import main; main()"
)
"""
What Python is to run. Twisted looks at C{LISTEN_PID} when it is imported, and only the process
itself knows its number.
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
    @param ended: called with how it ended, once it is gone and has said all.
    @ivar pid: its number; 0 before it runs.
    """

    def __init__(
        self, channel: Channel, write: Callable[[str], object], ended: Callable[[str], object]
    ) -> None:
        self.channel = channel
        self._write = write
        self._ended = ended
        self._line = b""
        self.pid = 0

    def connectionMade(self) -> None:
        """It runs."""
        self.pid = self._process.pid

    @property
    def _process(self) -> Any:
        return self.transport

    def outReceived(self, data: bytes) -> None:
        """Pass whole lines on."""
        lines, newline, self._line = (self._line + data).rpartition(b"\n")
        if newline:
            self._write((lines + newline).decode("utf-8", "replace"))

    errReceived = outReceived
    """What Python says when the process cannot live goes to the log too."""

    def signal(self, name: str) -> None:
        """Send a signal, unless it has ended."""
        with suppress(ProcessExitedAlready):  # which is told to processEnded
            self._process.signalProcess(name)

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it wrote is read."""
        self.outReceived(b"\n" if self._line else b"")
        self._ended(_words(reason.value))


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
            [sys.executable, "-c", BOOT, str(channel), str(channel + 1)],
            env=environ_of(environ, len(sockets)),
            childFDs={0: null, 1: "r", 2: "r", **dict(enumerate(handed, FIRST))},
        )
    finally:
        own.close()
        its.close()
        os.close(null)
