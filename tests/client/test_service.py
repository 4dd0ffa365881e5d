"""Two connections of one client: one ends while the other is under way."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from relay.client import RealtimeClient


class Socket:
    """As far as the client uses it."""

    gone = opened = responding = False
    error = None
    dropped = False

    def leave(self) -> None:
        self.dropped = self.gone = True


@pytest.fixture
def client() -> Any:
    made: Any = RealtimeClient("ws://127.0.0.1:1/v1/realtime", reactor=Clock())
    made.running, made.state = 1, "open"
    made._socket = Socket()
    return made


def test_if_the_session_ends_the_next_one_that_is_under_way_is_waited_for(client: Any) -> None:
    old, client._next = client._socket, Socket()
    following = client._next
    client._ended(old, 1012, "")
    assert (client._socket, client._next, client.state) == (following, None, "reconnecting")
    assert client._work is None, "no third is begun"


def test_if_the_next_one_ends_the_session_goes_on(client: Any) -> None:
    old, client._next = client._socket, Socket()
    client._ended(client._next, 1013, "")
    assert (client._socket, client._next, client.state) == (old, None, "open")


def test_a_connection_that_comes_when_none_is_wanted_is_dropped(client: Any) -> None:
    client.running = 0
    late = Socket()
    client._take_next(late)
    assert (late.dropped, client._next) == (True, None)


def test_what_is_no_event_is_left_out(client: Any) -> None:
    for payload in (b"", b"[]", b"{", b"[" * 10**5):
        client._hears(client._socket, payload)
    assert client.state == "open"
