"""What systemd is told, and when."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, field
from twisted.internet.task import Clock

from relay.daemon.notify import Notify, address_in, message, watchdog_seconds


def test_each_field_is_a_line() -> None:
    assert message(READY=1, STATUS="2 sessions") == b"READY=1\nSTATUS=2 sessions"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("/run/systemd/notify", "/run/systemd/notify"),
        ("@notify", "\0notify"),
        ("vsock:2:1234", None),
        ("", None),
    ],
)
def test_the_address_is_a_path_or_an_abstract_name(said: str, meant: str | None) -> None:
    assert address_in({"NOTIFY_SOCKET": said}) == meant
    assert address_in({}) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_are_for_this_process_only(
    said: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_seconds(said, 7) == seconds


@define
class Systemd:
    """Its socket, and a relay that tells it."""

    socket: socket.socket
    path: Path
    clock: Clock = field(factory=Clock)
    status: str = "0 sessions"

    def notify(self, **variables: str) -> Notify:
        environ = {"NOTIFY_SOCKET": str(self.path), **variables}
        return Notify(self.clock, lambda: self.status, environ)

    def heard(self) -> list[str]:
        """What has come since the last time."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def pump(self, seconds: float) -> list[str]:
        self.clock.pump([0.5] * int(2 * seconds))
        return self.heard()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(str(path))
        yield Systemd(listening, path)


def test_a_changed_status_is_told_and_an_unchanged_one_is_not(systemd: Systemd) -> None:
    systemd.notify().ready()
    assert systemd.heard() == ["READY=1", "STATUS=0 sessions"]
    assert systemd.pump(12) == []
    systemd.status = "1 session"
    assert systemd.pump(12) == ["STATUS=1 session"]


def test_a_sign_of_life_comes_twice_as_often_as_it_must(systemd: Systemd) -> None:
    systemd.notify(WATCHDOG_USEC="8000000", WATCHDOG_PID=str(os.getpid())).ready()
    assert systemd.heard() == ["READY=1", "WATCHDOG=1", "STATUS=0 sessions"]
    assert systemd.pump(20) == ["WATCHDOG=1"] * 5


def test_the_end_says_how_long_it_may_take_and_the_signs_of_life_go_on(systemd: Systemd) -> None:
    notify = systemd.notify(WATCHDOG_USEC="8000000")
    notify.ready()
    systemd.heard()
    systemd.status = "draining"
    notify.stopping(375.5)
    first, *others = systemd.heard()
    assert first == "STOPPING=1\nEXTEND_TIMEOUT_USEC=375500000"
    assert others == ["WATCHDOG=1", "STATUS=draining"]
    assert "WATCHDOG=1" in systemd.pump(5)
    notify.stop()
    assert systemd.pump(20) == []
    assert not systemd.clock.getDelayedCalls()


def test_where_nobody_asks_nothing_is_sent_and_nothing_waits() -> None:
    clock = Clock()
    notify = Notify(clock, str, {"WATCHDOG_USEC": "8000000"})
    notify.ready()
    notify.stopping(1)
    assert not clock.getDelayedCalls()


def test_a_systemd_that_is_gone_does_not_hinder_the_relay(systemd: Systemd) -> None:
    systemd.path.unlink()
    notify = systemd.notify(WATCHDOG_USEC="8000000")
    notify.ready()
    assert systemd.clock.getDelayedCalls()
    notify.stopping(1)
