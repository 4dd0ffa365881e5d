"""A relay on the asyncio reactor, whose callbacks await what asyncio has."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.test_pressure import UPGRADE
from processes import address_of, relay_command, running

SCRIPT = Path(__file__).with_name("on_asyncio.py")
ASKS = UPGRADE.replace(b"/v1/realtime", b"/v1/realtime?model=gpt-realtime")
HANGS = ASKS.replace(b"gpt-realtime", b"hangs")


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a demo relay."""
    with running(relay_command("--demo"), tmp_path_factory.mktemp("demo")) as process:
        yield address_of(process).replace("http", "ws") + "/v1/realtime"


@contextmanager
def asking(
    upstream: str, folder: Path, request: bytes, hold: float = 8
) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    """A client of the app that has sent this, and the app."""
    command = [sys.executable, "-W", "error", str(SCRIPT)]
    with running(command, folder, UPSTREAM=upstream, HOLD=str(hold)) as app:
        assert app.stdout is not None
        port = int(app.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(request)
            yield app, client


def said(app: subprocess.Popen[str]) -> str:
    assert app.stdout is not None
    return app.stdout.readline().strip()


def test_admit_and_credential_await_asyncio_and_deferreds(upstream: str, tmp_path: Path) -> None:
    with asking(upstream, tmp_path, ASKS) as (_, client):
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")


def test_the_holds_deadline_cancels_admit_in_asyncio(upstream: str, tmp_path: Path) -> None:
    with asking(upstream, tmp_path, HANGS, hold=0.5) as (app, client):
        assert client.recv(4096).startswith(b"HTTP/1.1 503 ")
        assert (said(app), said(app)) == ("hanging", "cancelled")


def test_a_client_that_leaves_cancels_admit_in_asyncio(upstream: str, tmp_path: Path) -> None:
    with asking(upstream, tmp_path, HANGS) as (app, client):
        assert said(app) == "hanging"
        client.close()
        assert said(app) == "cancelled"
