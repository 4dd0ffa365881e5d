"""The factory for embedders: it needs an upstream, and leaves the process as it was."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys

import pytest
import txaio.tx
from memory import World
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher

from relay import Limits, RelayFactory, Settings


def test_a_relay_without_an_upstream_is_an_error() -> None:
    with pytest.raises(ValueError, match="upstream"):
        RelayFactory([], reactor=MemoryReactorClock())


def test_two_relays_in_one_reactor_do_not_disturb_each_other() -> None:
    small = Settings(limits=Limits(sessions=1), hold_seconds=1, drain_seconds=0)
    first = World(settings=small)
    second = World(reactor=first.reactor)
    downstream, upstream = first.open()
    other, other_upstream = second.open()
    assert first.downstream().line.sent.startswith(b"HTTP/1.1 503 ")
    assert second.downstream().line.sent == b""
    first.factory.drain()
    first.advance(0.1)
    first.settle(downstream, upstream)
    assert downstream.close == (1012, "relay: shutting down")
    other.send("still here")
    other_upstream.read()
    assert other_upstream.received == ["still here"]
    assert first.factory.active_sessions <= 1
    assert second.factory.active_sessions == 1
    assert len(first.listener.holds) == 2
    assert len(second.listener.holds) == 1


def global_state() -> tuple[object, ...]:
    """What a library in somebody's process must leave alone."""
    observers = tuple(globalLogPublisher._observers)
    handlers = tuple(signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP))
    return observers, handlers, txaio.tx.config.loop, tuple(logging.root.handlers)


def test_a_session_leaves_global_state_alone() -> None:
    before = global_state()
    world = World()
    downstream, upstream = world.open()
    downstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    assert global_state() == before


def test_importing_the_relay_installs_no_reactor() -> None:
    code = "import relay, sys; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
