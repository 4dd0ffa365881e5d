"""How late the reactor is."""

from __future__ import annotations

from twisted.internet.task import Clock

from relay.daemon.lag import Lag


def test_each_second_it_is_told_how_late_the_reactor_is() -> None:
    clock = Clock()
    told: list[float] = []
    lag = Lag(clock, told.append)
    lag.start()
    clock.advance(1.0)
    clock.advance(1.25)  # a turn took a quarter of a second longer than there was time
    clock.advance(1.0)
    assert told == [0.0, 0.25, 0.0]
    lag.stop()
    assert clock.getDelayedCalls() == []


def test_one_that_never_started_can_be_stopped() -> None:
    Lag(Clock(), print).stop()
