"""A Unix socket that another process made stays as it was made."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest_twisted
from integration.loopback import REACTOR
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from relay.daemon.listening import Adopting


class Greeting(Protocol):
    """Says one word to whoever connects."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


class Hearing(Protocol):
    """Tells of the first bytes."""

    def __init__(self) -> None:
        self.heard: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard.callback(data)


@pytest_twisted.ensureDeferred
async def test_its_file_keeps_its_mode_and_stays_when_the_relay_stops(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(7)
        made.setblocking(False)
        factory = Factory.forProtocol(Greeting)
        factory.noisy = False
        port = Adopting(REACTOR).adoptStreamPort(made.fileno(), socket.AF_UNIX, factory)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        endpoint = UNIXClientEndpoint(REACTOR, str(path))
        client = await connectProtocol(endpoint, Hearing())
        assert await client.heard == b"hello"
        stopped: Any = port.stopListening()
        await stopped
        assert path.exists()
        with socket.socket(socket.AF_UNIX) as next_client:
            next_client.connect(str(path))  # and waits for the next relay, or another worker
