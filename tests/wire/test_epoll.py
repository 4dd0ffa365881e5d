"""One epoll for many lines, and when it may be made."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator

import pytest
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from relay.wire.epoll import DEAR_SECONDS, RETRY_SECONDS, TURN_SECONDS, Hub


class Reactor(Clock):
    """
    @ivar readers: what it watches.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Hub] = []

    def addReader(self, hub: Hub) -> None:
        self.readers.append(hub)

    def removeReader(self, hub: Hub) -> None:
        assert hub.fileno() >= 0, "the reactor looks at its number"
        self.readers.remove(hub)


class Line:
    """One end of a pair of sockets."""

    def __init__(self) -> None:
        self.socket, self.other = socket.socketpair()
        self.number = self.socket.fileno()
        self.heard: list[bytes] = []
        self.writes = 0
        self.leaves: Hub | None = None
        self.told_to_read_less = 0
        self.has_more = True
        self.lost: Failure | None = None

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> Exception | None:
        data = self.socket.recv(100)
        self.heard.append(data)
        return None if data else CONNECTION_LOST

    def read_less(self) -> None:
        self.told_to_read_less += 1

    def doWrite(self) -> Exception | None:
        self.writes += 1
        if self.leaves is not None:
            self.leaves.removeReader(self)
            self.leaves.removeWriter(self)
        try:
            self.socket.send(b"x")
        except OSError:
            return CONNECTION_LOST
        return None

    def connectionLost(self, reason: Failure) -> None:
        self.lost = reason

    def close(self) -> None:
        self.socket.close()
        self.other.close()


class Slow(Line):
    """To read it takes a whole share."""

    def __init__(self, reactor: Reactor) -> None:
        super().__init__()
        self._reactor = reactor

    def doRead(self) -> Exception | None:
        self._reactor.rightNow += TURN_SECONDS
        return super().doRead()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def hub(reactor: Reactor) -> Hub:
    return Hub(reactor)


def test_bytes_that_come_are_read(reactor: Reactor, hub: Hub, line: Line) -> None:
    hub.addReader(line)
    line.other.send(b"early")
    reactor.advance(0)
    (watched,) = reactor.readers
    watched.doRead()
    assert line.heard == [b"early"]


def test_the_epolls_number_is_none_that_was_freed_in_the_same_turn(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    gone = Line()
    gone.close()
    hub.addReader(line)
    # Were there an epoll already, the reactor could take what it found for "gone" for the hub's.
    assert reactor.readers == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(gone.number)


def test_a_line_may_leave_before_the_epoll_is_made(reactor: Reactor, hub: Hub, line: Line) -> None:
    hub.addReader(line)
    hub.removeReader(line)
    assert reactor.getDelayedCalls() == []


def test_without_lines_no_epoll_is_open(reactor: Reactor, hub: Hub, line: Line) -> None:
    for _ in range(2):
        hub.addReader(line)
        reactor.advance(0)
        hub.removeReader(line)
        assert reactor.readers == []


def test_without_a_descriptor_the_epoll_is_made_later(
    reactor: Reactor, hub: Hub, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_epoll() -> object:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(select, "epoll", no_epoll)
        hub.addReader(line)
        reactor.advance(0)
    assert reactor.readers == []
    reactor.advance(RETRY_SECONDS)
    assert reactor.readers == [hub]
    hub.removeReader(line)


def test_the_end_of_one_line_ends_no_other(reactor: Reactor, hub: Hub, line: Line) -> None:
    other = Line()
    for each in (line, other):
        hub.addReader(each)
    reactor.advance(0)
    line.other.close()
    hub.doRead()
    assert line.lost is not None
    assert other.lost is None
    assert reactor.readers == [hub]
    hub.removeReader(other)
    other.close()


def test_a_line_that_takes_long_is_told_to_read_less(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    slow = Slow(reactor)
    for each in (slow, line):
        hub.addReader(each)
        each.other.send(b"x")
    reactor.advance(0)
    hub.doRead()
    hub.doRead()
    assert (slow.told_to_read_less, line.told_to_read_less) == (1, 0)
    slow.close()


def test_dear_lines_wait_behind_all_others_and_have_their_turns(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    slow = [Slow(reactor) for _ in range(3)]
    for each in (*slow, line):
        hub.addReader(each)
        each.other.send(b"x")
    reactor.advance(0)
    for _ in range(4):
        hub.doRead()
    assert [each.told_to_read_less for each in slow] == [1, 1, 1]
    for turn in range(1, 7):
        for each in (*slow, line):
            each.other.send(b"y")
        hub.doRead()
        assert len(line.heard) == 1 + turn, "in each turn"
        assert sum(len(each.heard) for each in slow) == 3 + turn, "one of them in each turn"
    assert [len(each.heard) for each in slow] == [3, 3, 3], "one after the other"
    for each in slow:
        each.close()


def test_a_line_that_took_long_once_and_has_no_more_waits_for_nobody(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    slow, dear = Slow(reactor), [Slow(reactor) for _ in range(3)]
    slow.has_more = False
    for each in (slow, *dear):
        hub.addReader(each)
        each.other.send(b"x")
    reactor.advance(0)
    for _ in range(4):
        hub.doRead()
    for turn in range(1, 4):
        for each in (slow, *dear):
            each.other.send(b"y")
        hub.doRead()
        assert len(slow.heard) == 1 + turn, "in each turn"
    for each in (slow, *dear):
        each.close()


def test_a_dear_line_that_another_ends_in_the_same_turn_ends_nobody_else(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    class Ending(Slow):
        """Ends the other, as one side of a session does."""

        pair: Line | None = None

        def doRead(self) -> Exception | None:
            if self.pair is not None:
                hub.removeReader(self.pair)
            self._reactor.rightNow += DEAR_SECONDS / 2 - TURN_SECONDS
            return super().doRead()

    slow = [Ending(reactor) for _ in range(3)]
    for each in (*slow, line):
        hub.addReader(each)
        each.other.send(b"x")
    reactor.advance(0)
    for each in slow:
        hub._dear[each.number] = None
    slow[0].pair = slow[1]
    hub.doRead()
    assert [len(each.heard) for each in (*slow, line)] == [1, 0, 1, 1]
    for each in slow:
        each.close()


def test_each_turn_reads_for_its_share_of_time_and_the_next_goes_on(
    reactor: Reactor, hub: Hub
) -> None:
    lines = [Slow(reactor) for _ in range(4)]
    for line in lines:
        hub.addReader(line)
        line.other.send(b"first")
    reactor.advance(0)
    for read in range(1, 5):
        hub.doRead()
        # Those that were read have more already, and the others are not forgotten.
        assert [len(line.heard) for line in lines].count(1) == read
        for line in lines:
            line.other.send(b"more")
    for line in lines:
        hub.removeReader(line)
        line.close()


def test_the_end_of_the_reactor_ends_all_lines(reactor: Reactor, hub: Hub, line: Line) -> None:
    hub.addReader(line)
    reactor.advance(0)
    hub.connectionLost(Failure(CONNECTION_LOST))
    assert line.lost is not None
    assert reactor.readers == []


class Broken(Line):
    """Everything it is asked raises."""

    def doRead(self) -> Exception | None:
        raise RuntimeError("a bug")

    doWrite = doRead

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        raise RuntimeError("another")


@pytest.mark.parametrize("watch", [Hub.addReader, Hub.addWriter])
def test_a_line_that_raises_ends_alone(
    reactor: Reactor, hub: Hub, line: Line, watch: Callable[[Hub, Line], None]
) -> None:
    broken = Broken()
    for each in (broken, line):
        watch(hub, each)
        each.other.send(b"hello")
    hub.addReader(line)
    reactor.advance(0)
    hub.doRead()
    hub.doRead()
    assert broken.lost is not None
    assert line.heard == [b"hello"]
    assert reactor.readers == [hub]
    for each in (broken, line):
        hub.removeReader(each)
        hub.removeWriter(each)
    broken.close()


def test_a_line_that_waits_for_room_is_told_when_there_is_some(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    hub.addWriter(line)
    reactor.advance(0)
    hub.doRead()
    assert (line.writes, line.heard) == (1, [])
    line.other.send(b"not looked for")
    hub.doRead()
    assert (line.writes, line.heard) == (2, [])
    hub.addReader(line)
    hub.doRead()
    assert (line.writes, line.heard) == (3, [b"not looked for"])
    hub.removeWriter(line)
    line.other.send(b"more")
    hub.doRead()
    assert (line.writes, line.heard) == (3, [b"not looked for", b"more"])
    hub.removeReader(line)
    assert reactor.readers == []


def test_a_line_that_hangs_up_when_it_has_written_is_not_read(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    line.leaves = hub
    hub.addReader(line)
    hub.addWriter(line)
    line.other.send(b"too late")
    reactor.advance(0)
    hub.doRead()
    assert line.heard == []
    assert reactor.readers == []


def test_a_reset_is_found_by_the_write_that_waits(reactor: Reactor, hub: Hub, line: Line) -> None:
    hub.addWriter(line)
    reactor.advance(0)
    line.other.close()
    hub.doRead()
    assert line.lost is not None


def test_removing_a_line_leaves_the_next_one_with_its_number(
    reactor: Reactor, hub: Hub, line: Line
) -> None:
    before = Line()
    hub.addReader(before)
    reactor.advance(0)
    number = before.number
    hub.removeReader(before)
    before.close()
    line.number = number
    line.socket, moved = socket.socket(fileno=os.dup2(line.socket.fileno(), number)), line.socket
    moved.close()
    hub.addReader(line)
    hub.removeReader(before)
    hub.removeWriter(before)
    line.other.send(b"still here")
    reactor.advance(0)
    hub.doRead()
    assert line.heard == [b"still here"]
    hub.removeReader(line)
