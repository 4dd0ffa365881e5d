"""Run the relay as users do: as a process, from a folder that is not the project's."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

SECONDS = 60
"""Until a process counts as hung."""

LOOPBACK = "tcp:0:interface=127.0.0.1"

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


def environ(**variables: str) -> dict[str, str]:
    """The environment, without what would give a relay a key or this checkout."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("OPENAI_API_KEY", "PYTHONPATH")}
    return {**inherited, **variables}


def untraced(**variables: str) -> dict[str, str]:
    """The environment of a process whose coverage is not measured, because its speed matters."""
    return {k: v for k, v in environ(**variables).items() if not k.startswith("COVERAGE_")}


@contextmanager
def running(
    command: list[str],
    folder: Path,
    *,
    pass_fds: tuple[int, ...] = (),
    seconds: float = SECONDS,
    traced: bool = True,
    **variables: str,
) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone afterwards, whatever happens, or when it lasts longer."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ(**variables) if traced else untraced(**variables),
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        with process:
            yield process
            end(process)
    finally:
        watchdog.cancel()
        process.kill()


def end(process: subprocess.Popen[str]) -> None:
    """End it; a relay with sessions left would take its time, so tell it again."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()


def relay_command(*arguments: str) -> list[str]:
    """
    C{twistd realtime-relay} in the foreground, on a port of the system's choice, and with no admin
    listener if the arguments name none.
    """
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay"]
    return [*command, "--listen", LOOPBACK, "--admin", "", *arguments]


def address_of(process: subprocess.Popen[str]) -> str:
    """Wait for the line that says the URL."""
    return said(process, r"listening on (https?://127\.0\.0\.1:\d+)")


def admin_of(process: subprocess.Popen[str]) -> str:
    """Wait for the line that says the admin listener's URL; it comes behind the other."""
    return said(process, r"admin listener at (http://127\.0\.0\.1:\d+)")


def said(process: subprocess.Popen[str], pattern: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found[1]
    raise AssertionError(f"ended with {process.wait()}")


def until(holds: Callable[[], object]) -> None:
    """Wait for what another process does in its own time, such as to write its log."""
    end = monotonic() + SECONDS
    while not holds():
        assert monotonic() < end
        sleep(0.02)


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
