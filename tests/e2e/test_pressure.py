"""What a client that does not read costs the relay, measured on the process."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from processes import SECONDS, address_of, relay_command, running
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

MESSAGE = b"x" * 65536
MESSAGES = 1600
"""100 MiB in all."""

MIB = 1024


def resident(pid: int) -> int:
    """The process's memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


class Flood:
    """An upstream that sends without end to who sent it a message."""

    def __init__(self) -> None:
        self.sent = 0
        self.close: Close | None = None
        self.ended = threading.Event()

    def __call__(self, websocket: ServerConnection) -> None:
        websocket.send('{"type":"session.created"}')
        if websocket.recv() != "flood":
            return
        try:
            for _ in range(MESSAGES):
                websocket.send(MESSAGE)
                self.sent += 1
            websocket.recv()
        except ConnectionClosed as closed:
            self.close = closed.rcvd
        self.ended.set()


@contextmanager
def flooding() -> Iterator[tuple[Flood, str]]:
    flood = Flood()
    with serve(flood, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        try:
            yield flood, f"ws://127.0.0.1:{port}/v1/realtime"
        finally:
            server.shutdown()
            thread.join(SECONDS)


@pytest.fixture(params=["splice", "message"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "relay.toml"
    path.write_text(f'plane = "{request.param}"\n[limits]\nstall_seconds = 1.5\n')
    return path


def test_a_client_that_does_not_read_costs_little_and_is_cut(tmp_path: Path, config: Path) -> None:
    with flooding() as (flood, upstream):
        command = relay_command("--upstream", upstream, "--config", str(config))
        with running(command, tmp_path) as process:
            url = address_of(process).replace("http", "ws") + "/v1/realtime"
            # A session first, so that what is loaded once is not counted.
            with connect(url, compression=None) as warm:
                warm.send("hello")
            before = resident(process.pid)
            port = urlsplit(url).port
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(UPGRADE)
                assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
                client.sendall(FLOOD_REQUEST)
                peak = 0
                while not flood.ended.wait(0.01):
                    peak = max(peak, resident(process.pid))
    assert flood.sent < MESSAGES, "the relay took it all"
    assert flood.close == Close(1001, "relay: downstream does not read")
    assert peak - before <= 2 * MIB
    print(f"took in {flood.sent * 64} KiB for {peak - before} KiB of memory")


UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
FLOOD_REQUEST = b"\x81\x85\0\0\0\0flood"
