"""A relay on systemd's socket is restarted under a stream of clients, and none of them is lost."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define, field
from chaos.scale import scaled
from e2e.test_pressure import UPGRADE
from processes import SECONDS, TWISTD, running, until

RESTARTS = scaled(5, 50)

ARRIVAL_SECONDS = 0.02
"""From one client to the next, whether or not anybody accepts them."""

DAWDLE_SECONDS = 0.05
"""From the connection of each other client to its request."""

REQUEST = UPGRADE.replace(b"/v1/realtime", b"/v1/realtime?model=m")
OPENED = "HTTP/1.1 101 Switching Protocols"

SETTINGS = """
listen = ["systemd:domain=INET:index=0"]
admin = ""
drain_seconds = 1
"""

UNLIMITED = """
[limits]
sessions = 100000
address_sessions = 0
address_holds = 0
address_handshakes = 0
short_sessions = 0
"""


@define
class Stream:
    """
    The clients.

    @ivar arrival: seconds from one to the next.
    @ivar ends: how many had which answer, or none.
    @ivar drained: how many were told to connect again, of those who stay until they are.
    """

    port: int
    arrival: float = ARRIVAL_SECONDS
    over: bool = False
    thread: threading.Thread = field(init=False)
    ends: Counter[str] = field(factory=Counter)
    drained: int = 0

    def start(self) -> None:
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()

    def serve_some(self) -> None:
        """Until some more have been served."""
        enough = self.ends.total() + 20
        until(lambda: self.ends.total() > enough)

    def stop(self) -> None:
        """No more come; those who have come are served."""
        self.over = True
        self.thread.join(2 * SECONDS)

    async def run(self) -> None:
        number = 0
        async with asyncio.TaskGroup() as clients:
            while not self.over:
                number += 1
                clients.create_task(self.client(number))
                await asyncio.sleep(self.arrival)

    async def client(self, number: int) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                end = await self.session(dawdles=number % 2 == 0, stays=number % 8 == 0)
        except (OSError, asyncio.IncompleteReadError) as error:
            end = type(error).__name__
        self.ends[end] += 1

    async def session(self, *, dawdles: bool, stays: bool) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.sleep(DAWDLE_SECONDS if dawdles else 0)
            writer.write(REQUEST)
            status = (await reader.readline()).decode().strip()
            if status == OPENED:
                await reader.readuntil(b"session.created")
            if status == OPENED and stays and not self.over:
                await reader.readuntil(b"relay: shutting down")
                self.drained += 1
        finally:
            writer.close()
        return status


@contextmanager
def streaming(port: int, arrival: float = ARRIVAL_SECONDS) -> Iterator[Stream]:
    """Clients come all the while, from another thread."""
    stream = Stream(port, arrival)
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()


@define
class Systemd:
    """It has the listening socket, starts the relay with it, and is told how that does."""

    folder: Path
    server: socket.socket
    told: socket.socket

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """A relay that has said that it is ready."""
        shell = 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=relay exec "$@"'
        arguments = ["-n", "--pidfile=", f"--logfile={self.folder / 'log'}", "realtime-relay"]
        relay = [*TWISTD, *arguments, "--demo", "--config", str(self.folder / "relay.toml")]
        fd = self.server.fileno()
        command = ["bash", "-c", shell, "sh", str(fd), *relay]
        notify = str(self.told.getsockname())
        with running(
            command, self.folder, pass_fds=(fd,), traced=False, NOTIFY_SOCKET=notify
        ) as process:
            self.hears(b"READY=1")
            yield process

    def hears(self, what: bytes) -> None:
        while not self.told.recv(4096).startswith(what):
            pass

    def stop(self, relay: subprocess.Popen[str]) -> None:
        relay.terminate()
        self.hears(b"STOPPING=1")
        assert relay.wait(SECONDS) == 0


@contextmanager
def systemd(folder: Path) -> Iterator[Systemd]:
    (folder / "relay.toml").write_text(SETTINGS + UNLIMITED)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=4096) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(str(folder / "notify"))
        told.settimeout(SECONDS)
        yield Systemd(folder, server, told)


def test_no_client_is_refused_or_reset_by_restarts(tmp_path: Path) -> None:
    with systemd(tmp_path) as unit, streaming(unit.server.getsockname()[1]) as stream:
        for _ in range(RESTARTS):
            with unit.started() as relay:
                stream.serve_some()
                unit.stop(relay)
        stream.over = True
        with unit.started():
            stream.stop()
    print(f"\n{RESTARTS} restarts, {stream.ends}, of which {stream.drained} stayed until the drain")
    assert set(stream.ends) == {OPENED}
    assert stream.drained > RESTARTS
    assert "Traceback" not in (tmp_path / "log").read_text()
