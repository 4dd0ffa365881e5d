"""A client that sends too much is read no faster than it may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from relay.peer.meter import BURST_SECONDS, FLOOD_SECONDS, Meter


class Client:
    """It sends a chunk whenever it is read."""

    def __init__(self, frames: float = 0, payload: float = 0) -> None:
        self.clock = Clock()
        self.frames = self.bytes = 0
        self.given_up = 0
        self.meter = Meter(self.clock, frames, payload, lambda: None, self._give_up)

    def _give_up(self) -> None:
        self.given_up += 1

    def send(self, frames: int, payload: int = 0) -> bool:
        """Whether it was read."""
        if self.meter.is_set:
            return False
        self.frames += frames
        self.bytes += payload
        self.meter.count(self.frames, self.bytes)
        return True


def test_ten_seconds_worth_may_come_at_once() -> None:
    client = Client(frames=100)
    assert client.send(100 * BURST_SECONDS)
    assert not client.meter.is_set
    client.send(100)
    assert client.meter.is_set
    client.clock.advance(1.0)
    client.clock.advance(0)
    assert not client.meter.is_set


@pytest.mark.parametrize(("frames", "payload"), [(100, 0), (0, 100)])
def test_a_steady_sender_within_its_rate_is_never_held_back(frames: int, payload: int) -> None:
    client = Client(frames, payload)
    for _ in range(3000):
        assert client.send(10, 10)
        client.clock.advance(0.1001)
    assert not client.given_up


def test_without_a_rate_nothing_is_counted() -> None:
    client = Client()
    for _ in range(1000):
        assert client.send(10**6, 10**9)
    assert client.clock.getDelayedCalls() == []


def test_who_sends_on_and_on_as_fast_as_he_is_read_is_given_up() -> None:
    client = Client(frames=100)
    for _ in range(10 * FLOOD_SECONDS + 50):
        client.send(50)
        client.clock.advance(0.1)
        if client.clock.seconds() < FLOOD_SECONDS:
            assert not client.given_up
    assert client.given_up == 1
    assert client.clock.getDelayedCalls() == []


def test_who_sent_a_minutes_worth_too_much_in_one_moment_is_given_up_in_a_minute() -> None:
    client = Client(payload=100)
    client.send(1, 100 * (BURST_SECONDS + FLOOD_SECONDS) + 200)
    client.clock.pump([0.1] * 10 * FLOOD_SECONDS)
    client.clock.pump([0.1, 0.1])
    assert client.given_up == 1


def test_who_sent_less_than_that_and_then_no_more_is_not() -> None:
    client = Client(payload=100)
    client.send(1, 100 * (BURST_SECONDS + FLOOD_SECONDS) - 200)
    client.clock.pump([0.1] * 20 * FLOOD_SECONDS)
    assert not client.given_up
    assert not client.meter.is_set


def test_a_pause_of_the_sender_begins_the_minute_anew() -> None:
    client = Client(frames=100)
    for _ in range(4):
        for _ in range(400):
            client.send(50)
            client.clock.advance(0.1)
        for _ in range(15):
            client.clock.advance(1)
        client.send(100)
    assert not client.given_up


def test_a_stopped_meter_leaves_no_delayed_call() -> None:
    client = Client(frames=1)
    client.send(10_000)
    client.meter.stop()
    assert client.clock.getDelayedCalls() == []
    assert client.send(10_000)
    assert not client.meter.is_set


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=200))
def test_no_more_is_read_than_the_rate_the_burst_and_a_chunk(
    steps: list[tuple[int, int]],
) -> None:
    client = Client(frames=100)
    for frames, tenths in steps:
        client.send(frames)
        for _ in range(tenths):
            client.clock.advance(0.1)
        if not client.given_up:
            # What comes within one second's worth of the last look is seen at the next.
            most = 100 * (client.clock.seconds() + BURST_SECONDS + 1) + 300
            assert client.frames <= most + 0.001
