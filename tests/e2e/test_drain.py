"""The end of a relay that runs as a process: by signals, and by its admin listener."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from attrs import define, field
from e2e.test_pressure import UPGRADE
from processes import (
    LOOPBACK,
    SECONDS,
    TWISTD,
    address_of,
    admin_of,
    environ,
    relay_command,
    running,
    until,
)
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

DRAINED = Close(1012, "relay: shutting down")


def upstream_of(websocket: ServerConnection) -> None:
    """Does what the model's name says."""
    assert websocket.request is not None
    model = websocket.request.path.partition("model=")[2]
    try:
        if model != "held":
            websocket.send('{"type":"session.created"}')
        if model == "busy":
            websocket.send('{"type":"response.created","response":{}}')
        if model == "brief":
            websocket.recv()
            websocket.close(1000, "done")
        websocket.recv()
    except ConnectionClosed:
        pass


@contextmanager
def upstream() -> Iterator[str]:
    """It, running; its URL."""
    with serve(upstream_of, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
        finally:
            server.shutdown()
            thread.join(SECONDS)


@define
class Running:
    """A relay that runs, with an upstream of its own."""

    process: subprocess.Popen[str]
    url: str
    admin: str
    contexts: ExitStack
    clients: list[threading.Thread] = field(factory=list)
    ends: dict[str, Close | None] = field(factory=dict)

    def session(self, model: str) -> Any:
        """An open session, whose end is kept by the name of its model."""
        url = f"{self.url.replace('http', 'ws')}/v1/realtime?model={model}"
        opening = connect(url, compression=None, ping_interval=None, open_timeout=SECONDS)
        client = self.contexts.enter_context(opening)
        client.recv()

        def read() -> None:
            try:
                while True:
                    client.recv()
            except ConnectionClosed as closed:
                self.ends[model] = closed.rcvd

        self.clients.append(threading.Thread(target=read))
        self.clients[-1].start()
        return client

    def upgrade(self, model: str) -> socket.socket:
        """A client that has asked for a session, and does nothing more."""
        client = socket.create_connection(("127.0.0.1", urlsplit(self.url).port or 0), SECONDS)
        client.sendall(UPGRADE.replace(b"/v1/realtime", f"/v1/realtime?model={model}".encode()))
        return client

    def ended(self) -> list[dict[str, Any]]:
        """Wait for the end of the process and its clients; the lines of its log."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read()
        assert self.process.wait(SECONDS) == 0, lines
        for client in self.clients:
            client.join(SECONDS)
        assert "Traceback" not in lines
        return [json.loads(line) for line in lines.splitlines()]

    def active(self) -> dict[str, float]:
        """The metrics without labels."""
        with urlopen(f"{self.admin}/metrics", timeout=SECONDS) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        samples = (sample for family in families for sample in family.samples)
        return {sample.name: sample.value for sample in samples if not sample.labels}

    def wait_for_holds(self, number: int) -> None:
        """Until so many are held."""
        until(lambda: self.active()["relay_holds_active"] == number)


def status(url: str, method: str = "GET") -> int:
    try:
        with urlopen(Request(url, method=method), timeout=SECONDS) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


@contextmanager
def relay(folder: Path, **settings: object) -> Iterator[Running]:
    """With these settings, and deadlines that nothing here can wait for."""
    keys = {"log_format": "json", "hold_seconds": 600, **settings}
    lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    config = folder / "relay.toml"
    config.write_text("\n".join([*lines, "[limits]", "linger_seconds = 60"]))
    with upstream() as url:
        flags = ["--config", str(config), "--upstream", url, "--admin", LOOPBACK]
        with running(relay_command(*flags), folder) as process, ExitStack() as contexts:
            yield Running(process, address_of(process), admin_of(process), contexts)


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_signal_ends_the_relay_gently_and_in_time(tmp_path: Path, plane: str) -> None:
    with relay(tmp_path, plane=plane, drain_seconds=8, drain_spread_seconds=5) as running:
        running.session("busy")
        running.session("idle")
        brief = running.session("brief")
        with running.upgrade("stuck") as stuck, running.upgrade("held") as held:
            assert stuck.recv(4096).startswith(b"HTTP/1.1 101 ")
            running.wait_for_holds(1)
            assert running.active()["relay_sessions_active"] == 4
            running.process.terminate()
            began = time.monotonic()
            brief.send("that was all")
            until(lambda: status(f"{running.admin}/readyz") == 503)
            assert status(f"{running.admin}/healthz") == 200
            with running.upgrade("late") as late:
                refused = late.recv(4096)
            log = running.ended()
            took = time.monotonic() - began
            answer = held.recv(4096)
    print(f"over {took - 8:+.2f} s after the deadline")
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "draining"' in refused
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "draining"' in answer
    assert running.ends == {"busy": DRAINED, "idle": DRAINED, "brief": Close(1000, "done")}
    ends = [line["model"] for line in log if line["message"].startswith("closed ")]
    assert ends[0] == "brief"
    assert ends.index("idle") < ends.index("busy"), "who is being answered is closed later"
    assert ends[-1] == "stuck"
    assert took < 30, "what is stuck would last for a minute"


@pytest.mark.parametrize("plane", ["splice", "message"])
def test_a_client_that_asks_is_told_of_the_end_and_may_leave_in_time(
    tmp_path: Path, plane: str
) -> None:
    with relay(tmp_path, plane=plane, drain_seconds=60, drain_spread_seconds=10) as running:
        url = f"{running.url.replace('http', 'ws')}/v1/realtime?model=idle"
        offered: Any = ["realtime", "relay.notices"]
        with connect(url, subprotocols=offered, ping_interval=None) as asking:
            asking.recv(SECONDS)
            running.process.terminate()
            event = json.loads(asking.recv(SECONDS))
        running.ended()
    assert event["type"] == "relay.draining"
    assert 40 < event["seconds"] <= 50


def test_in_the_delay_the_relay_is_not_ready_and_goes_on_accepting(tmp_path: Path) -> None:
    with relay(tmp_path, drain_delay_seconds=600) as running:
        running.session("before")
        assert status(f"{running.admin}/readyz") == status(f"{running.url}/readyz") == 200
        running.process.terminate()
        until(lambda: status(f"{running.admin}/readyz") == 503)
        assert status(f"{running.url}/readyz") == 503
        running.session("meanwhile")
        assert running.active()["relay_sessions_active"] == 2
        running.process.terminate()
        log = running.ended()
    assert running.ends == {"before": None, "meanwhile": None}, "dropped, without a Close"
    messages = [line["message"] for line in log]
    assert "SIGTERM: ending within 631 s; once more, and it ends at once" in messages
    assert "SIGTERM again: ending at once" in messages


def test_a_second_signal_drops_whatever_is_open(tmp_path: Path) -> None:
    with relay(tmp_path, drain_seconds=600) as running:
        running.session("idle")
        with running.upgrade("stuck") as stuck, running.upgrade("held") as held:
            assert stuck.recv(4096).startswith(b"HTTP/1.1 101 ")
            running.wait_for_holds(1)
            running.process.send_signal(signal.SIGINT)
            until(lambda: status(f"{running.admin}/readyz") == 503)
            running.process.terminate()
            running.ended()
            with pytest.raises(ConnectionResetError):
                held.recv(4096)
    assert running.ends == {"idle": None}


def test_post_drain_ends_the_relay_and_one_signal_does_not_hurry_it(
    tmp_path: Path,
) -> None:
    with relay(tmp_path, drain_seconds=600) as running:
        client = running.session("idle")
        assert status(f"{running.admin}/drain", "POST") == 202
        assert status(f"{running.admin}/readyz") == 503
        running.process.terminate()
        assert status(f"{running.admin}/drain", "POST") == 202
        client.close()
        log = running.ended()
    assert running.ends == {"idle": Close(1000, "")}
    assert any(line["message"].startswith("SIGTERM: ending") for line in log)


def test_a_signal_ends_a_daemon_gently(tmp_path: Path) -> None:
    pid_file, log = tmp_path / "relay.pid", tmp_path / "relay.log"
    flags = [f"--pidfile={pid_file}", f"--logfile={log}", "realtime-relay", "--demo"]
    command = [*TWISTD, *flags, "--listen", LOOPBACK, "--admin", LOOPBACK]
    subprocess.run(command, cwd=tmp_path, env=environ(), check=True, timeout=SECONDS)
    until(lambda: log.exists() and "admin listener at" in log.read_text())
    url = log.read_text().partition("listening on http")[2].split()[0]
    with connect(f"ws{url}/v1/realtime?model=m", compression=None) as client:
        client.recv()
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        until(lambda: "accepting nothing new" in log.read_text())
    until(lambda: not pid_file.exists())
    until(lambda: "Server Shut Down." in log.read_text())
    assert "Traceback" not in log.read_text()
