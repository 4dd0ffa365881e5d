"""A flood is read at a bearable pace."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from relay.peer.throttle import BURST, RATE, Throttle


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def over(clock: Clock) -> list[float]:
    """When reading may go on."""
    return []


@pytest.fixture
def throttle(clock: Clock, over: list[float]) -> Throttle:
    return Throttle(clock, lambda: over.append(clock.seconds()))


def test_a_burst_of_frames_is_read_without_a_wait(throttle: Throttle) -> None:
    assert not throttle.spend(BURST)
    assert not throttle.is_set


def test_frames_beyond_a_burst_are_waited_for(
    clock: Clock, throttle: Throttle, over: list[float]
) -> None:
    assert throttle.spend(BURST + RATE)
    assert throttle.is_set
    clock.pump([0.5, 0.25, 0.25])
    assert over == [1.0]
    assert not throttle.is_set


def test_a_steady_stream_at_the_rate_is_not_throttled(clock: Clock, throttle: Throttle) -> None:
    for _ in range(1000):
        assert not throttle.spend(RATE // 100)
        clock.advance(0.011)


def test_a_steady_stream_above_the_rate_is_throttled(clock: Clock, throttle: Throttle) -> None:
    for _ in range(100):
        if throttle.spend(RATE // 100):
            return
        clock.advance(0.005)
    raise AssertionError("a flood passes")


def test_silence_earns_no_more_than_one_burst(clock: Clock, throttle: Throttle) -> None:
    clock.advance(1000)
    assert throttle.spend(BURST + 1)


def test_a_stopped_throttle_leaves_no_delayed_call(clock: Clock, throttle: Throttle) -> None:
    throttle.spend(10 * RATE)
    throttle.stop()
    assert clock.getDelayedCalls() == []
