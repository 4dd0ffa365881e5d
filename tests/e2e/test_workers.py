"""Several workers under one parent, as processes: they share, they die, they are told, they end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from attrs import define, field
from e2e.listening_upstream import listening_upstream
from processes import LOOPBACK, SECONDS, TWISTD, address_of, admin_of, running, said, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

WORKERS = 2
SESSIONS = 12


@define
class Relay:
    """A relay with workers."""

    config: Path
    process: subprocess.Popen[str]
    url: str
    admin: str
    systemd: socket.socket
    pids: dict[int, int] = field(factory=dict)

    def settle(self, *workers: int) -> None:
        """Wait until these workers serve."""
        for _ in workers:
            found = said(self.process, r"(worker \d serves, as process \d+)")
            number, pid = map(int, re.findall(r"\d+", found))
            self.pids[number] = pid

    def ask(self, path: str, method: str = "GET") -> Any:
        try:
            with urlopen(Request(self.admin + path, method=method)) as answer:
                return json.load(answer)
        except HTTPError as refused:
            return json.load(refused)["error"]["code"]

    def metric(self, name: str) -> float:
        with urlopen(f"{self.admin}/metrics") as answer:
            found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    @contextmanager
    def session(self) -> Iterator[ClientConnection]:
        with connect(self.url) as session:
            assert "session.created" in str(session.recv())
            yield session

    def opened(self) -> float:
        """How many sessions it has opened."""
        return self.metric(f'relay_requests_total{{listener="{LOOPBACK}",outcome="opened"}}')


def text(upstream: str, more: str = "") -> str:
    return f"""
        workers = {WORKERS}
        listen = ["{LOOPBACK}"]
        admin = "{LOOPBACK}"
        drain_seconds = 1.0
        {more}
        [[upstream]]
        name = "test"
        provider = "generic"
        url = "{upstream}"
    """


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    with listening_upstream() as upstream:
        config = tmp_path / "relay.toml"
        config.write_text(text(upstream.url))
        command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--config", str(config)]
        systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        systemd.bind(str(tmp_path / "systemd"))
        systemd.settimeout(SECONDS)
        notify = str(tmp_path / "systemd")
        with systemd, running(command, tmp_path, NOTIFY_SOCKET=notify) as process:
            url = address_of(process).replace("http", "ws") + "/v1/realtime?model=m"
            found = Relay(config, process, url, admin_of(process), systemd)
            found.settle(*range(WORKERS))
            yield found


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def is_open(session: ClientConnection) -> bool:
    try:
        session.ping().wait(SECONDS)
        session.recv(0.05)
    except TimeoutError:
        return True
    except ConnectionClosed:
        return False
    return True


def close_of(session: ClientConnection) -> int | None:
    """The code of the Close that it gets, behind whatever else comes."""
    try:
        while True:
            session.recv(SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_clients_are_shared_out_and_one_admin_listener_speaks_for_all(relay: Relay) -> None:
    with ExitStack() as stack:
        sessions = [stack.enter_context(relay.session()) for _ in range(SESSIONS)]
        until(lambda: relay.metric("relay_sessions_active") == SESSIONS)
        assert relay.metric("relay_workers") == WORKERS
        listed = relay.ask("/sessions")
        assert (listed["total"], len(listed["sessions"])) == (SESSIONS, SESSIONS)
        id = listed["sessions"][-1]["id"]
        assert relay.ask(f"/sessions/{id}")["upstream"] == "test"
        assert relay.ask(f"/sessions/{id}", "DELETE") == {"ended": 1}
        assert relay.ask("/sessions/req_of_nobody", "DELETE") == "not_found"
        until(lambda: [is_open(each) for each in sessions].count(False) == 1)
        assert relay.ask("/readyz")["state"] == "ready"


def test_a_worker_that_is_killed_takes_its_sessions_with_it_and_nothing_else(relay: Relay) -> None:
    with ExitStack() as stack:
        sessions = [stack.enter_context(relay.session()) for _ in range(4)]
        until(lambda: relay.metric("relay_hold_seconds_count") == 4)
        os.kill(relay.pids[2], signal.SIGKILL)
        line = said(relay.process, r"worker 2 \(process \d+\) ended with (.*)")
        lost = re.fullmatch(r"signal 9, and with it (\d) sessions; another one begins in 0 s", line)
        assert lost is not None
        left = 4 - int(lost[1])
        assert 0 < left < 4, "clients are shared out"
        relay.settle(2)
        assert [is_open(each) for each in sessions].count(True) == left
        until(lambda: relay.metric("relay_sessions_active") == left)
        assert relay.metric("relay_hold_seconds_count") == 4, "what it had counted stays"
        assert relay.metric("relay_worker_ends_total") == 1
        for _ in range(2):
            stack.enter_context(relay.session())


def test_new_settings_reach_all_workers_or_none(relay: Relay) -> None:
    relay.config.write_text("nonsense = 1")
    relay.process.send_signal(signal.SIGHUP)
    said(relay.process, r"SIGHUP: (nothing was taken)")
    upstream = "ws://127.0.0.1:1"
    relay.config.write_text(text(upstream, "hold_seconds = 3.0"))
    relay.process.send_signal(signal.SIGHUP)
    for _ in range(1 + WORKERS):
        said(relay.process, r"(SIGHUP: new requests get the new settings)")
    # A worker that begins later is told the same.
    os.kill(relay.pids[1], signal.SIGKILL)
    relay.settle(1)
    for _ in range(4):
        with pytest.raises(InvalidStatus), connect(relay.url):
            pass
    assert relay.opened() == 0


def test_all_drain_when_the_parent_is_told_to_end(relay: Relay) -> None:
    assert relay.systemd.recv(1000) == b"READY=1"
    assert relay.systemd.recv(1000).startswith(b"STATUS=ready, workers: 2, sessions: 0")
    with ExitStack() as stack:
        sessions = [stack.enter_context(relay.session()) for _ in range(4)]
        relay.process.send_signal(signal.SIGTERM)
        assert relay.systemd.recv(1000).startswith(b"STOPPING=1"), "only the parent speaks"
        for pid in relay.pids.values():
            os.kill(pid, signal.SIGTERM)  # as systemd does to each process of a service
        assert [close_of(session) for session in sessions] == [1012] * 4
    assert relay.process.wait(SECONDS) == 0
    assert not any(map(is_alive, relay.pids.values()))


def test_workers_of_a_parent_that_is_killed_leave_their_sockets_and_end(relay: Relay) -> None:
    with relay.session() as session:
        relay.process.kill()
        assert close_of(session) == 1012
    until(lambda: not any(map(is_alive, relay.pids.values())))
    with pytest.raises(OSError, match="refused"), connect(relay.url):
        pass
