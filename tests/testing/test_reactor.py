"""The reactor in memory: what moves when, and what a test is told."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import ClientFactory, Protocol

from relay.testing import Endless, Line, Reactor
from relay.testing.sockets import ROOM


class Near(Protocol):
    """The relay's end."""

    transport: Any

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.losses = 0

    def dataReceived(self, data: bytes) -> None:
        """Keep it, or be as broken as it says."""
        self.received.append(data)
        if data == b"raise":
            raise ZeroDivisionError

    def connectionLost(self, reason: Any = None) -> None:
        """Count it."""
        self.losses += 1


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def near() -> Near:
    return Near()


@pytest.fixture
def line(reactor: Reactor, near: Near) -> Line:
    return Line(reactor, near)


def test_bytes_of_a_far_end_are_read_at_once(line: Line, near: Near) -> None:
    line.deliver(b"now")
    assert near.received == [b"now"]


def test_delayed_calls_wait_for_the_clock_and_the_end_of_an_abort_does_not(
    reactor: Reactor, line: Line, near: Near
) -> None:
    called: list[str] = []
    reactor.callLater(0, called.append, "put off")
    near.transport.abortConnection()
    assert line.lost is None
    reactor.rest()
    assert line.lost is not None
    assert called == []
    reactor.advance(0)
    assert called == ["put off"]


def test_settling_does_what_is_due_now_and_not_what_is_due_later(reactor: Reactor) -> None:
    called: list[str] = []
    reactor.callLater(0, lambda: reactor.callLater(0, called.append, "soon"))
    reactor.callLater(0.1, called.append, "later")
    reactor.settle()
    assert called == ["soon"]
    reactor.wait(0.125)
    assert called == ["soon", "later"]


def test_an_exception_that_reaches_the_reactor_is_raised_in_the_test(line: Line) -> None:
    with pytest.raises(ZeroDivisionError):
        line.deliver(b"raise")


def test_far_ends_that_never_come_to_rest_are_an_error(reactor: Reactor) -> None:
    class Restless:
        def moves(self) -> bool:
            return True

    reactor.far_ends.append(Restless())
    with pytest.raises(Endless):
        reactor.settle()


def test_connecting_to_where_nobody_listens_takes_for_ever(reactor: Reactor) -> None:
    factory = ClientFactory()

    reactor.connectTCP("127.0.0.1", 9000, factory)
    reactor.wait(60)
    assert len(reactor.connectors) == 1
    assert reactor.getDelayedCalls() == []


def test_a_line_that_is_lost_is_lost_once_though_the_relay_does_not_look(
    line: Line, near: Near
) -> None:
    near.transport.pauseProducing()
    line.fin()
    line.reset()
    assert line.lost is None
    line.lose()
    line.lose()
    assert (line.lost is None, near.losses) == (False, 1)


def test_a_line_holds_so_much_and_the_rest_comes_when_it_is_read(line: Line, near: Near) -> None:
    near.transport.write(b"x" * (ROOM + 5))
    line.deliver(b"a turn")
    assert len(line.sent) == ROOM
    assert len(line.take()) == ROOM + 5
