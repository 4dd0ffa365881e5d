"""The collector's settings are the daemon's while it runs, and nobody's afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from twisted.internet.task import Clock

from relay.daemon.garbage import FEW, NEVER, QUIET_SECONDS, Garbage


@pytest.fixture
def clock() -> Iterator[Clock]:
    before = gc.get_threshold()
    yield Clock()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_old_objects_are_not_collected_while_the_daemon_runs(clock: Clock) -> None:
    garbage = Garbage(clock, lambda: 0)
    garbage.start()
    assert gc.get_threshold()[2] == NEVER
    assert gc.get_freeze_count() > 0
    garbage.stop()
    assert clock.getDelayedCalls() == []


def test_old_objects_are_collected_while_few_are_served(clock: Clock) -> None:
    served = [0, FEW + 1, FEW]
    garbage = Garbage(clock, lambda: served.pop(0))
    garbage.start()
    counts = []
    with patch("gc.collect") as collect:
        for _ in range(3):
            clock.advance(QUIET_SECONDS)
            counts.append(collect.call_count)
    garbage.stop()
    assert counts == [1, 1, 2]
