"""C{twistd realtime-relay} takes new settings by SIGHUP, and renewed files by itself."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from urllib.request import urlopen

import pytest
from attrs import define
from chaos.scale import scaled
from cryptography import x509
from e2e.relays import authority
from processes import LOOPBACK, TWISTD, address_of, admin_of, running, said, until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

ORIGIN = "https://app.example"

RELOADS = scaled(10, 50)


@define
class Daemon:
    """
    A demo relay that reads its settings from a file.

    @ivar url: of its WebSocket.
    """

    config: Path
    process: subprocess.Popen[str]
    url: str
    admin: str
    folder: Path

    def tell(self, more: str) -> None:
        """Give it other settings."""
        self.config.write_text(settings(self.folder, more), "utf-8")
        self.process.send_signal(signal.SIGHUP)

    def told(self, more: str, answer: str) -> None:
        """Give it other settings, and wait for what it says to them."""
        self.tell(more)
        said(self.process, f"SIGHUP: ({answer})")

    def status(self) -> int:
        """What a page of another origin is answered."""
        try:
            with connect(self.url, origin=Origin(ORIGIN)) as session:
                session.recv()
            return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    def counted(self) -> dict[str, int]:
        with urlopen(f"{self.admin}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(r'^relay_reloads_total\{outcome="(\w+)"\} (\d+)', text, re.MULTILINE)
        return {outcome: int(count) for outcome, count in found}

    def serial(self) -> int:
        """The serial number of the certificate that it shows."""
        port = int(self.folder.joinpath("port").read_text())
        shown = ssl.get_server_certificate(("127.0.0.1", port))
        return x509.load_pem_x509_certificate(shown.encode()).serial_number


def settings(folder: Path, more: str) -> str:
    live = folder / "live"
    listener = [
        "[[listener]]",
        f'endpoint = "{LOOPBACK}"',
        f"certificate = {json.dumps(str(live / 'relay.pem'))}",
        f"key = {json.dumps(str(live / 'relay.key'))}",
    ]
    return "\n".join([f'listen = ["{LOOPBACK}"]', f'admin = "{LOOPBACK}"', more, *listener])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "one").mkdir()
    authority(tmp_path / "one")
    (tmp_path / "live").symlink_to("one")
    config = tmp_path / "relay.toml"
    config.write_text(settings(tmp_path, ""), "utf-8")
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(config)]
    with running(command, tmp_path) as process:
        url = address_of(process).replace("http", "ws") + "/v1/realtime?model=gpt-realtime"
        secure = said(process, r"listening on https://127\.0\.0\.1:(\d+)")
        (tmp_path / "port").write_text(secure)
        yield Daemon(config, process, url, admin_of(process), tmp_path)


def test_settings_are_taken_as_a_whole_or_not_at_all(daemon: Daemon) -> None:
    with connect(daemon.url) as session:
        session.recv()
        assert daemon.status() == 403
        daemon.told(
            f'origins = ["{ORIGIN}"]', "new requests get the new settings; changed: origins"
        )
        assert daemon.status() == 101
        daemon.told("origins = 7", ".*origins: ")
        daemon.told('origins = []\nlog_format = "json"', "log_format: a restart is needed")
        assert daemon.status() == 101
        session.send('{"type": "input_audio_buffer.clear"}')
        assert json.loads(session.recv())["type"] == "input_audio_buffer.cleared"
    assert daemon.counted() == {"taken": 1, "refused": 2}


def test_a_renewed_certificate_is_shown_without_a_signal(daemon: Daemon) -> None:
    before = daemon.serial()
    (daemon.folder / "two").mkdir()
    authority(daemon.folder / "two")
    (daemon.folder / "next").symlink_to("two")
    (daemon.folder / "next").rename(daemon.folder / "live")
    said(daemon.process, "(files have changed: new requests)")
    assert daemon.serial() != before


def test_signals_that_mean_nothing_end_nothing(daemon: Daemon) -> None:
    assert daemon.status() == 403, "so its reactor runs"
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        daemon.process.send_signal(number)
    daemon.told("", "new requests")


def test_nobody_is_refused_while_settings_change(daemon: Daemon) -> None:
    done = Event()
    opened: list[str] = []
    faults: list[Exception] = []

    def come() -> None:
        while not done.is_set():
            try:
                with connect(daemon.url) as session:
                    opened.append(json.loads(session.recv())["type"])
            except Exception as error:
                faults.append(error)

    clients = [Thread(target=come) for _ in range(4)]
    for each in clients:
        each.start()
    began = monotonic()
    for number in range(RELOADS):
        daemon.tell(f"hold_seconds = {number + 2}.0")
        until(lambda taken=number + 1: daemon.counted()["taken"] == taken)  # type: ignore[misc]
    done.set()
    for each in clients:
        each.join()
    assert not faults
    print(f"\n{RELOADS} reloads, {len(opened)} sessions in {monotonic() - began:.1f} s")
    assert len(opened) > RELOADS
    assert set(opened) == {"session.created"}
