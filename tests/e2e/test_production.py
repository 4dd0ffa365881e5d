"""The operator's page, followed as far as a machine without systemd allows."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from e2e.listening_upstream import listening_upstream
from e2e.relays import authority
from page_proxies import is_ready, nginx
from processes import SECONDS, TWISTD, closed_port, environ, running, said, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

PAGE = Path(__file__).parents[2] / "docs" / "production.md"
COMMAND = [sys.executable, "-c", "from relay.commands.main import main; main()"]


def settings(folder: Path, port: int, admin: int, second: int) -> Path:
    """The page's, with files in this folder; of the two services only the second is there."""
    text = PAGE.read_text("utf-8")
    found = re.search(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    text = found[1].replace("/etc/realtime-relay", str(folder))
    text = text.replace("tcp:8080", f"tcp:{port}").replace("tcp:9090", f"tcp:{admin}")
    text = text.replace(
        'name = "openai"\n',
        f'name = "openai"\nurl = "ws://127.0.0.1:{closed_port()}/v1/realtime"\n',
    )
    text = text.replace(
        "wss://my-resource.openai.azure.com/openai/v1/realtime",
        f"ws://127.0.0.1:{second}/openai/v1/realtime",
    )
    path = folder / "relay.toml"
    path.write_text(text, "utf-8")
    for name in ("openai.key", "azure.key"):
        (folder / name).write_text(f"sk-{name}\n", "utf-8")
    (folder / "signing.key").write_text("5" * 64, "utf-8")
    (folder / "keys.toml").touch()
    for name in ("openai.key", "azure.key", "signing.key", "keys.toml"):
        (folder / name).chmod(0o640)
    return path


def does(*words: str) -> str:
    """What a command of the relay prints."""
    done = subprocess.run(
        [*COMMAND, *words], env=environ(), capture_output=True, text=True, timeout=SECONDS
    )
    return done.stdout.strip()


def test_the_page_leads_to_a_session_by_the_second_service_and_to_its_end(tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("not installed: nginx")
    port, admin, front = (closed_port() for _ in range(3))
    with ExitStack() as stack:
        second = urlsplit(stack.enter_context(listening_upstream()).url)
        assert second.port is not None
        config = str(settings(tmp_path, port, admin, second.port))
        key = does("token", "new", "backend", "--config", config)
        checked = does("check", "--config", config)
        assert re.search(r"^openai +\d+ ms +failed", checked, re.MULTILINE), checked
        assert re.search(r"^azure .* open$", checked, re.MULTILINE), checked
        command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--config", config]
        relay = stack.enter_context(running(command, tmp_path))
        until(lambda: is_ready(port))
        certified = authority(tmp_path)
        trusted = ssl.create_default_context(cafile=str(certified.ca_file))
        proxy = nginx(tmp_path, front, (port, closed_port()), certified)
        stack.enter_context(running(proxy, tmp_path))
        url = f"wss://127.0.0.1:{front}/v1/realtime?model=gpt-realtime"

        def session() -> ClientConnection:
            authorization = {"Authorization": f"Bearer {key}"}
            return connect(url, ssl=trusted, additional_headers=authorization, proxy=None)

        until(lambda: is_open(front))
        with pytest.raises(InvalidStatus, match="401"):
            connect(url, ssl=trusted, proxy=None)
        with session() as held:
            assert "session.created" in str(held.recv(SECONDS))
            relay.send_signal(signal.SIGHUP)
            said(relay, "SIGHUP: (new requests)")
            with urlopen(f"http://127.0.0.1:{admin}/metrics") as answer:
                assert b"relay_sessions_active 1" in answer.read()
            does("token", "revoke", "backend", "--config", config)
            with pytest.raises(ConnectionClosed) as closed:
                read_on(held)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        with pytest.raises(InvalidStatus, match="401"):
            session()


def read_on(session: ClientConnection) -> None:
    """Take what comes, until it ends."""
    while True:
        session.recv(SECONDS)


def is_open(port: int) -> bool:
    """Whether somebody listens here."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
