"""
What systemd is told: that the relay is ready, how it is doing, that it is alive, and that it ends.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from time import CLOCK_MONOTONIC, clock_gettime_ns

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.timing.deadline import Deadline

_log = Logger()

STATUS_SECONDS = 5.0
"""Seconds between two looks at what the status is, at most."""


def message(**fields: object) -> bytes:
    """The datagram that says so."""
    return "\n".join(f"{name}={value}" for name, value in fields.items()).encode()


def address_in(environ: Mapping[str, str]) -> str | None:
    """Where to send it; L{None} if nobody asks for it, or by no socket of this kind of machine."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        return "\0" + address[1:]  # an abstract socket, as systemd writes it
    return address if address.startswith("/") else None


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds within which each sign of life has to come; L{None} if nobody waits for one."""
    text = environ.get("WATCHDOG_USEC", "")
    is_other = environ.get("WATCHDOG_PID", str(pid)) != str(pid)
    if is_other or not text.isdecimal() or not int(text):
        return None
    return int(text) / 1e6


class Notify:
    """
    Tells systemd, if the environment says where. Otherwise all of it does nothing.

    A sign of life is sent from the reactor, so that none comes from one that hangs.

    @param status: says in a line how the relay is doing.
    @param environ: the environment variables.
    """

    def __init__(
        self,
        clock: IReactorTime,
        status: Callable[[], str],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._address = address_in(environ)
        self._status = status
        self._told = ""
        self._next = Deadline(clock)
        watchdog = watchdog_seconds(environ, os.getpid())
        self._is_watched = watchdog is not None
        # Half of it, as systemd advises.
        self._seconds = min(STATUS_SECONDS, (watchdog or 2 * STATUS_SECONDS) / 2)

    def ready(self) -> None:
        """The relay listens everywhere. From now on its status and signs of life are sent."""
        if self._address is not None:
            self._send(READY=1)
            self._tell()

    def reloading(self) -> None:
        """The relay takes new settings, until it is L{ready} again."""
        if self._address is not None:
            self._send(RELOADING=1, MONOTONIC_USEC=clock_gettime_ns(CLOCK_MONOTONIC) // 1000)

    def stopping(self, seconds: float) -> None:
        """The relay ends. It needs so many seconds at most, though the unit may allow it fewer."""
        if self._address is not None:
            self._send(STOPPING=1, EXTEND_TIMEOUT_USEC=round(seconds * 1e6))
            self._tell()

    def stop(self) -> None:
        """Send nothing more."""
        self._next.clear()

    def _tell(self) -> None:
        self._next.set(self._seconds, self._tell)
        if self._is_watched:
            self._send(WATCHDOG=1)
        status = self._status()
        if status != self._told:
            self._told = status
            self._send(STATUS=status)

    def _send(self, **fields: object) -> None:
        assert self._address is not None, "somebody asked for it"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # Not to wait for it: the reactor would stand still.
                sender.setblocking(False)
                sender.sendto(message(**fields), self._address)
        except OSError as error:
            _log.warn("cannot tell systemd {what}: {error}", what=[*fields], error=error)
