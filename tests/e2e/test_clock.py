"""Somebody sets the machine's clock back by an hour while the relay waits for something."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import frozen
from e2e.test_pressure import UPGRADE
from processes import LOOPBACK, address_of, environ, running

PATIENCE = 20
"""Seconds until what should have ended in three counts as endless."""

STEPPED = """
import sys, time
from pathlib import Path
real, step = time.time, Path({step!r})
time.time = lambda: real() + float(step.read_text())
{entry}
"""
"""A program whose wall clock is as far off as a file says."""

TWISTD = "from twisted.scripts.twistd import run; run()"
COMMAND = "from relay.commands.main import main; main()"


@frozen
class Wall:
    """The wall clock of a process."""

    step: Path

    def command(self, entry: str, *arguments: str) -> list[str]:
        program = STEPPED.format(step=str(self.step), entry=entry)
        return [sys.executable, "-c", program, *arguments]

    def set_back(self) -> None:
        another = self.step.with_suffix(".new")
        another.write_text("-3600")
        another.rename(self.step)


@pytest.fixture
def wall(tmp_path: Path) -> Wall:
    (tmp_path / "step").write_text("0")
    return Wall(tmp_path / "step")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """An upstream that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        yield server


def url_of(server: socket.socket) -> str:
    return f"ws://127.0.0.1:{server.getsockname()[1]}/v1/realtime"


def client_of(url: str, data: bytes) -> socket.socket:
    where = urlsplit(url)
    client = socket.create_connection((where.hostname, where.port), PATIENCE)
    client.sendall(data)
    return client


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "relay.toml"
    path.write_text("hold_seconds = 3\n[limits]\nhead_seconds = 3\n")
    return path


@pytest.mark.parametrize(
    "entry", [(TWISTD, "-n", "--pidfile=", "realtime-relay"), (COMMAND, "run")], ids=lambda e: e[-1]
)
def test_a_head_and_a_hold_end_though_the_clock_is_set_back(
    tmp_path: Path, wall: Wall, config: Path, silent: socket.socket, entry: tuple[str, ...]
) -> None:
    flags = ["--config", str(config), "--listen", LOOPBACK, "--admin", ""]
    command = wall.command(*entry, "--upstream", url_of(silent), *flags)
    with running(command, tmp_path) as process:
        url = address_of(process)
        half, held = client_of(url, UPGRADE[:-2]), client_of(url, UPGRADE)
        with half, held, silent.accept()[0]:
            # It has the second connection, so it has the first.
            wall.set_back()
            assert half.recv(4096).startswith(b"HTTP/1.1 408 ")
            assert held.recv(4096).startswith(b"HTTP/1.1 504 ")


def test_a_check_ends_though_the_clock_is_set_back(
    tmp_path: Path, wall: Wall, config: Path, silent: socket.socket
) -> None:
    flags = ["check", "--config", str(config), "--upstream", url_of(silent)]
    with subprocess.Popen(
        wall.command(COMMAND, *flags), cwd=tmp_path, env=environ(), stdout=subprocess.PIPE
    ) as process:
        try:
            with silent.accept()[0]:
                wall.set_back()
                out, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert b"upstream_timeout" in out
    assert process.returncode == 1


def test_the_simulator_goes_on_though_the_clock_is_set_back(tmp_path: Path, wall: Wall) -> None:
    command = wall.command(COMMAND, "simulate", "--listen", LOOPBACK)
    slow = UPGRADE.replace(b"/v1/realtime", b"/v1/realtime?model=fault-slow")
    with running(command, tmp_path) as process:
        assert process.stdout is not None
        found = re.search(r"ws://\S+", process.stdout.readline())
        assert found
        with client_of(found[0], slow) as client:
            received = client.recv(4096)
            assert received.startswith(b"HTTP/1.1 101 ")
            wall.set_back()
            while b"session.created" not in received:
                more = client.recv(4096)
                assert more
                received += more
