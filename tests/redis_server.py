"""A Redis of a test's own, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from processes import closed_port, until


def needed() -> None:
    """Skip the test where there is no Redis."""
    if shutil.which("redis-server") is None:
        pytest.skip("not installed: redis-server")


class RedisServer:
    """
    One that can be frozen, killed and started again. It keeps nothing on disk.

    @ivar port: where it listens.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = closed_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, without TLS."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--repl-diskless-sync-delay", "0", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "it ended at once"
        with suppress(OSError):
            return self.say("PING").startswith(("+PONG", "-NOAUTH"))
        return False

    def say(self, *words: str) -> str:
        """What it answers to a command whose answer is short."""
        with socket.create_connection(("127.0.0.1", self.port)) as wire:
            wire.sendall(" ".join(words).encode() + b"\r\n")
            return wire.recv(65536).decode().strip()

    def count(self, key: str) -> int:
        """How many leases there are under a key."""
        return int(self.say("ZCARD", key).removeprefix(":"))

    def kill(self) -> None:
        """KILL it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It is there, and answers nothing."""
        assert self._process is not None, "it runs"
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """One that runs, and is gone afterwards."""
    server = RedisServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
