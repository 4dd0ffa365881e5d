"""What a worker is told when it starts, before it does anything."""

from __future__ import annotations

import pickle  # nosec B403
import socket
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable

from attrs import frozen
from twisted.logger import ILogObserver

from relay.config.plan import Flags
from relay.config.settings import Settings
from relay.daemon.logfile import Writable

_LENGTH = struct.Struct("!I")


@frozen
class Start:
    """
    What it is told.

    @ivar number: its own, from 0.
    @ivar workers: how many there are.
    @ivar settings: what its parent has taken, so that it does not read a file that may have changed
        since.
    @ivar endpoints: where it listens, in the order of the settings' listeners.
    @ivar signing: the keys that sign secrets if the settings name none.
    @ivar observer: makes an observer that writes its lines.
    @ivar sparing: whether lines that repeat are left out.
    @ivar reactor: the name of the reactor to install; L{None} for the usual one.
    """

    number: int
    workers: int
    settings: Settings
    flags: Flags
    endpoints: tuple[str, ...]
    signing: tuple[bytes, ...]
    observer: Callable[[Writable], ILogObserver]
    sparing: bool
    reactor: str | None

    def packed(self) -> bytes:
        """For the socket to the worker."""
        data = pickle.dumps(self)
        return _LENGTH.pack(len(data)) + data


def received(end: socket.socket) -> Start:
    """
    What the parent says first, waited for.

    @raise EOFError: if the parent is gone.
    """
    (length,) = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    # It comes from the process that began this one, over a socket that no other has.
    start = pickle.loads(_exactly(end, length))  # nosec B301
    assert isinstance(start, Start), "the parent is of the same version"
    return start


def packed(settings: Settings) -> str:
    """Settings as text, for a worker that runs."""
    return b64encode(pickle.dumps(settings)).decode("ascii")


def settings_in(text: str) -> Settings:
    """What L{packed} made."""
    settings = pickle.loads(b64decode(text))  # nosec B301
    assert isinstance(settings, Settings), "the parent is of the same version"
    return settings


def _exactly(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data
