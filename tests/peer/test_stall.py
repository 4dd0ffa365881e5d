"""Whether a peer that says nothing takes what it is sent."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import frozen
from twisted.internet.task import Clock

from relay.config.settings import Limits
from relay.peer.stall import Patience

PART = b"x" * 1000


@frozen
class Watched:
    """The two ends of a connection by a Unix socket, and what the relay's end makes of it."""

    ours: socket.socket
    theirs: socket.socket
    patience: Patience
    queued: int = 0

    @property
    def socket(self) -> socket.socket:
        """As a line has it."""
        return self.ours

    def takes(self, within: bool) -> bool | None:
        """Ask."""
        line: Any = self
        return self.patience.takes(line, within)


@pytest.fixture
def unix() -> Iterator[Watched]:
    """One that has just been looked at, and nothing was written."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = Watched(ours, theirs, Patience(Clock(), Limits()))
        assert made.takes(within=False) is None
        yield made


def test_a_reader_whose_next_part_has_just_come_is_not_taken_for_a_stuck_one(unix: Watched) -> None:
    for _ in range(3):
        unix.ours.sendall(PART)
        assert unix.takes(within=True) is None
        unix.theirs.recv(len(PART))


def test_a_reader_that_takes_some_of_what_waits_is_there(unix: Watched) -> None:
    unix.ours.sendall(PART)
    unix.ours.sendall(PART)
    assert unix.takes(within=True) is None
    unix.theirs.recv(len(PART))
    assert unix.takes(within=True)


def test_between_frames_a_reader_that_takes_nothing_is_not_there(unix: Watched) -> None:
    unix.ours.sendall(PART)
    assert unix.takes(within=False) is False
    assert unix.takes(within=False) is False
