"""The race between addresses, on a clock of its own and with connections made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from relay.dial.race import HEAD_START, Race


@dataclass
class Track:
    """A race over addresses, whose connections a test makes and breaks."""

    addresses: list[str]
    clock: Clock = field(default_factory=Clock)
    at_once: dict[str, Protocol | Exception] = field(default_factory=dict)
    begun: dict[str, Deferred[IProtocol]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    won: list[object] = field(default_factory=list)
    lost: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.race = Race(self.clock, self.addresses, self.connect)

    def start(self) -> Track:
        self.race.start().addCallbacks(self.won.append, lambda f: self.lost.append(f.value))
        return self

    def connect(self, address: str) -> Deferred[IProtocol]:
        begun: Deferred[IProtocol] = Deferred(lambda _: self.cancelled.append(address))
        self.begun[address] = begun
        early = self.at_once.get(address)
        if isinstance(early, Exception):
            begun.errback(Failure(early))
        elif early is not None:
            begun.callback(early)
        return begun

    def fail(self, address: str) -> Exception:
        error = ConnectionRefusedError(string=address)
        self.begun[address].errback(Failure(error))
        return error

    def connected(self, address: str) -> Protocol:
        protocol = Protocol()
        self.begun[address].callback(protocol)
        return protocol


@pytest.fixture
def track() -> Iterator[Track]:
    """Three addresses; whatever happens, no call is left on the clock and no error unread."""
    track = Track(["a", "b", "c"])
    yield track
    assert track.clock.getDelayedCalls() == []
    unread: list[Failure] = []
    for begun in track.begun.values():
        begun.addErrback(unread.append)
    assert unread == []
    assert len(track.won) + len(track.lost) == 1


def test_the_first_address_is_tried_alone(track: Track) -> None:
    track.start()
    track.clock.advance(HEAD_START - 0.01)
    assert list(track.begun) == ["a"]
    protocol = track.connected("a")
    assert track.won == [protocol]
    assert track.cancelled == []


def test_further_addresses_are_tried_one_at_a_time(track: Track) -> None:
    track.start()
    track.clock.advance(HEAD_START)
    assert list(track.begun) == ["a", "b"]
    track.clock.advance(HEAD_START)
    assert list(track.begun) == ["a", "b", "c"]
    assert track.clock.getDelayedCalls() == []
    track.connected("c")


def test_each_address_has_a_head_start_of_a_quarter_of_a_second() -> None:
    assert HEAD_START == 0.25


def test_when_one_address_fails_the_next_is_tried_at_once(track: Track) -> None:
    track.start()
    track.clock.advance(0.2)
    track.fail("a")
    assert list(track.begun) == ["a", "b"]
    track.clock.advance(HEAD_START - 0.01)
    assert list(track.begun) == ["a", "b"]
    track.clock.advance(0.01)
    assert list(track.begun) == ["a", "b", "c"]
    track.connected("b")


@pytest.mark.parametrize("winner", ["a", "b", "c"])
def test_the_first_connection_wins_and_the_others_are_cancelled(track: Track, winner: str) -> None:
    track.start()
    track.clock.pump([HEAD_START, HEAD_START])
    protocol = track.connected(winner)
    assert track.won == [protocol]
    assert track.cancelled == [address for address in "abc" if address != winner]


def test_after_the_first_connection_no_further_address_is_tried(track: Track) -> None:
    track.start()
    track.clock.advance(HEAD_START)
    track.connected("a")
    track.clock.advance(9)
    assert list(track.begun) == ["a", "b"]
    assert track.cancelled == ["b"]


def test_one_failed_address_does_not_end_the_other_attempts(track: Track) -> None:
    track.start()
    track.clock.pump([HEAD_START, HEAD_START])
    track.fail("c")
    track.fail("a")
    assert track.won == track.lost == []
    protocol = track.connected("b")
    assert track.won == [protocol]


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_when_all_addresses_fail_the_last_failure_is_told(track: Track, order: str) -> None:
    track.start()
    track.clock.pump([HEAD_START, HEAD_START])
    errors = [track.fail(address) for address in order]
    assert track.lost == [errors[-1]]
    assert track.cancelled == []


def test_when_all_addresses_fail_at_once_no_time_passes(track: Track) -> None:
    track.at_once = {address: ConnectError(string=address) for address in "abc"}
    track.start()
    assert track.lost == [track.at_once["c"]]
    assert track.clock.seconds() == 0


def test_a_connection_made_at_once_wins(track: Track) -> None:
    protocol = Protocol()
    track.at_once = {"a": ConnectError(), "b": protocol}
    track.start()
    assert track.won == [protocol]
    assert list(track.begun) == ["a", "b"]


def test_cancelling_ends_every_attempt(track: Track) -> None:
    track.start()
    track.clock.advance(HEAD_START)
    track.race.result.cancel()
    assert track.cancelled == ["a", "b"]
    assert [type(error) for error in track.lost] == [CancelledError]
    track.clock.advance(9)
    assert list(track.begun) == ["a", "b"]


def test_cancelling_after_the_end_does_nothing(track: Track) -> None:
    track.start()
    track.connected("a")
    track.race.result.cancel()
    assert track.cancelled == []


def test_no_address_is_a_failure() -> None:
    track = Track([]).start()
    (error,) = track.lost
    assert isinstance(error, ConnectError)
    assert track.clock.getDelayedCalls() == []


def test_a_single_address_leaves_no_delayed_call() -> None:
    track = Track(["a"]).start()
    assert track.clock.getDelayedCalls() == []
    error = track.fail("a")
    assert track.lost == [error]


def test_the_callers_list_stays_as_it_is() -> None:
    track = Track(["a", "b"]).start()
    track.fail("a")
    track.fail("b")
    assert track.addresses == ["a", "b"]
