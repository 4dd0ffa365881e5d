"""The pure parts: shares, restarts, what is handed, and what a worker is told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.listeners import adopted
from relay.config.plan import Flags
from relay.config.settings import Settings
from relay.daemon.journal import priority
from relay.daemon.logs import JSONObserver, TextObserver
from relay.daemon.workers.process import BOOT, environ_of
from relay.daemon.workers.restarts import LONG_SECONDS, MOST_SECONDS, Restarts
from relay.daemon.workers.shares import ABSENT, Shares, make
from relay.daemon.workers.start import Start, packed, received, settings_in


@pytest.fixture
def memory() -> Iterator[int]:
    fd = make(3)
    yield fd
    os.close(fd)


def test_a_worker_is_ahead_only_of_one_that_accepts_and_has_fewer(memory: int) -> None:
    mine, theirs = Shares(memory, 3), Shares(memory, 3)
    assert not mine.is_ahead(0, 5), "the others are absent"
    theirs.set(1, 5)
    assert not mine.is_ahead(0, 5)
    assert mine.is_ahead(0, 6)
    assert not theirs.is_ahead(1, 5), "the first has six"
    theirs.set(1, ABSENT)
    assert not mine.is_ahead(0, 6)


@given(st.lists(st.floats(0, 1000), max_size=30))
def test_the_waits_of_a_place_grow_and_are_bounded_and_a_long_life_forgets(
    lives: list[float],
) -> None:
    restarts, last = Restarts(), 0.0
    for lived in lives:
        wait = restarts.wait(lived)
        assert 0 <= wait <= MOST_SECONDS
        assert wait == 0 if lived >= LONG_SECONDS else wait >= last
        last = wait


def test_the_first_end_costs_no_time_and_the_next_ones_do() -> None:
    restarts = Restarts()
    assert [restarts.wait(0.1) for _ in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [restarts.wait(LONG_SECONDS), restarts.wait(0.1)] == [0, 0.5]


def test_a_worker_is_told_of_its_sockets_and_nothing_that_is_for_its_parent() -> None:
    environ = {
        "PATH": "/bin",
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": "7",
        "LISTEN_PID": "7",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "web",
    }
    assert environ_of(environ, 2) == {
        "PATH": "/bin",
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "relay:relay",
    }


def test_a_worker_imports_from_where_its_parent_does_whatever_lies_around(tmp_path: Path) -> None:
    (tmp_path / "attrs.py").write_text("raise RuntimeError('not this one')")
    parent, its = socket.socketpair()
    parent.close()
    with its:
        command = [sys.executable, "-c", BOOT, "0", "0", *sys.path]
        ended = subprocess.run(
            command, cwd=tmp_path, stdin=its.fileno(), stderr=subprocess.PIPE, check=False
        )
    assert ended.stderr.endswith(b"EOFError\n"), "its parent is gone"


def test_where_a_worker_listens_keeps_the_proxy_protocol() -> None:
    assert adopted("tcp:80", "INET", 0) == "systemd:domain=INET:index=0"
    proxied = adopted("haproxy:unix:/run/x", "UNIX", 1)
    assert proxied == "haproxy:systemd:domain=UNIX:index=1"


@pytest.mark.parametrize("kind", [TextObserver, partial(JSONObserver, prefix=priority)])
def test_what_a_worker_is_told_crosses_whole(kind: Any) -> None:
    settings = Settings(hold_seconds=3.0, workers=2)
    start = Start(
        1,
        2,
        settings,
        Flags(workers=2),
        ("systemd:",),
        (b"k" * 32,),
        kind,
        True,
        None,
    )
    one, other = socket.socketpair()
    with one, other:
        one.sendall(start.packed() + b"more")
        assert repr(received(other)) == repr(start)
        assert other.recv(10) == b"more", "what comes behind it is for somebody else"
        one.close()
        with pytest.raises(EOFError):
            received(other)
    assert settings_in(packed(settings)) == settings
