"""The connection to the store, as far as no server is needed; the rest is in tests/integration."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock

from relay.fleet.scripts import FREE
from relay.fleet.store import CONNECT_SECONDS, RETRY_SECONDS, Store, StoreFault


class Server:
    """One that is connected to as a test says. @ivar asked: how often it was."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def connect(self, factory: Any) -> Deferred[Any]:
        self.asked += 1
        return Deferred() if self.answer is None else fail(self.answer)


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.whys: list[str] = []

    def connected(self, run: str) -> None:
        raise AssertionError("no server is there")

    def heard(self) -> None:
        raise AssertionError("no server is there")

    def lost(self, why: str) -> None:
        self.whys.append(why)


def store_at(*servers: Any) -> tuple[Store, Watcher, Clock]:
    clock, watcher = Clock(), Watcher()
    return Store(servers, lambda: [], "channel", watcher, clock), watcher, clock


def test_all_servers_are_tried_in_turn_and_again_after_a_while() -> None:
    servers = [Server(ConnectionRefusedError("no.")), Server(ConnectionRefusedError("nor here"))]
    store, watcher, clock = store_at(*servers)
    store.start()
    assert [each.split(": ")[-1] for each in watcher.whys] == ["no", "nor here"]
    clock.advance(RETRY_SECONDS)
    assert [each.asked for each in servers] == [2, 2]
    store.stop()
    assert not clock.getDelayedCalls()


def test_a_server_that_does_not_answer_is_given_up_for_the_next() -> None:
    silent, other = Server(None), Server(ConnectionRefusedError("no"))
    store, watcher, clock = store_at(silent, other)
    store.start()
    clock.pump([CONNECT_SECONDS, 0])
    assert watcher.whys[0] == "no answer within 2 s"
    assert other.asked == 1
    store.stop()


def test_an_error_of_the_relays_own_is_logged_and_ends_no_tries() -> None:
    server = Server(ZeroDivisionError())
    store, watcher, clock = store_at(server)
    store.start()
    clock.advance(RETRY_SECONDS)
    assert watcher.whys == ["ZeroDivisionError, an error of the relay's own"] * 2
    store.stop()


def test_without_a_connection_nothing_can_be_asked() -> None:
    store, _, _ = store_at(Server(None))
    caught: list[Any] = []
    store.run(FREE, [], []).addErrback(caught.append)
    with pytest.raises(StoreFault, match="not connected"):
        caught[0].raiseException()
    store.cut()
    assert not store.is_connected
