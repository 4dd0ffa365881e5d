"""Processes that are gone afterwards, whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""Where C{bench} can be imported from."""

START_SECONDS = 20.0
_INTERVAL = 0.02


class ChildFailed(Exception):
    """
    A process ended by itself, or took too long.

    @ivar output: all it said.
    """

    def __init__(self, what: str, output: str) -> None:
        super().__init__(what)
        self.output = output

    @property
    def line(self) -> str:
        """What happened, and the last that it said."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return f"{self}: {lines[-1].strip()}" if lines else str(self)


class Child:
    """
    A running process, whose output is kept in a file.

    @ivar pid: of the process, which leads a group of its own.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._path = output

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._path.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def line(self) -> str:
        """
        Wait for its first line.

        @raise ChildFailed: if there is none in time.
        """
        for _ in self._meanwhile(START_SECONDS):
            if "\n" in self.output:
                return self.output.splitlines()[0]
        raise ChildFailed("said nothing", self.output)

    def listening(self, port: int) -> None:
        """
        Wait until it accepts connections on loopback.

        @raise ChildFailed: if it does not in time.
        """
        for _ in self._meanwhile(START_SECONDS):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        raise ChildFailed(f"did not listen within {START_SECONDS:g} s", self.output)

    def ended(self, seconds: float) -> str:
        """
        Wait for its end.

        @return: its last line.
        @raise ChildFailed: if it does not end well, in time.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"did not end within {seconds:g} s", self.output) from None
        if code or not self.output:
            raise ChildFailed(f"ended with {code}", self.output)
        return self.output.splitlines()[-1]

    def _meanwhile(self, seconds: float) -> Iterator[None]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield
            code = self._process.poll()
            if code is not None:
                raise ChildFailed(f"ended with {code}", self.output)
            time.sleep(_INTERVAL)


@contextmanager
def running(
    command: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """
    A process with all its children.

    @param folder: where it runs and its output is kept.
    @param environ: variables over those that are there.
    """
    # A key that happens to be there is none of a benchmark's business.
    inherited = {k: v for k, v in os.environ.items() if k not in ("OPENAI_API_KEY", "PYTHONPATH")}
    output = folder / f"output-{time.monotonic_ns()}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Child(process, output)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # Nothing that it could still do is of use, and its children are in the group too. Until it is
    # waited for, no other process can have its number.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
