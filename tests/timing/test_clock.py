"""A reactor's time only goes forward."""

from __future__ import annotations

import pytest
from twisted.internet.base import ReactorBase

from relay import use_monotonic_clock
from relay.timing import clock as module


class Reactor(ReactorBase):
    """One of Twisted's, that waits for no input."""

    def installWaker(self) -> None:
        """Nothing wakes it."""


class Monotonic:
    """A clock that the test moves."""

    now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    clock = Monotonic()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def test_after_the_change_calls_are_due_by_the_monotonic_clock(monotonic: Monotonic) -> None:
    reactor, calls = Reactor(), list[str]()
    use_monotonic_clock(reactor)
    reactor.callLater(2, calls.append, "first")
    moved = reactor.callLater(9, calls.append, "moved")
    moved.reset(3)
    assert (reactor.seconds(), reactor.timeout()) == (5, 2)
    monotonic.now = 6.9
    reactor.runUntilCurrent()
    assert calls == []
    monotonic.now = 7.0
    reactor.runUntilCurrent()
    assert calls == ["first"]
    monotonic.now = 8.0
    reactor.runUntilCurrent()
    assert calls == ["first", "moved"]


def test_calls_from_before_the_change_prevent_it() -> None:
    reactor = Reactor()
    before = reactor.seconds
    call = reactor.callLater(1, print)
    with pytest.raises(RuntimeError, match="before the first callLater"):
        use_monotonic_clock(reactor)
    assert reactor.seconds is before
    call.cancel()
    use_monotonic_clock(reactor)
    assert reactor.seconds is not before


def test_the_monotonic_clock_can_be_asked_for_twice() -> None:
    reactor = Reactor()
    use_monotonic_clock(reactor)
    reactor.callLater(1, print)
    use_monotonic_clock(reactor)


def test_other_reactors_keep_their_own_clock() -> None:
    reactor, other = Reactor(), Reactor()
    use_monotonic_clock(reactor)
    assert other.seconds is not reactor.seconds
