"""Signals: the first one stops, the next aborts, and none is acted on where it strikes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from relay.daemon.signals import SIGNALS, Signals


@dataclass
class Stage:
    """Signals on a reactor that only keeps what it is to call."""

    calls: list[tuple[Callable[..., object], tuple[object, ...]]] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        self.calls.append((call, arguments))

    def install(self) -> None:
        acts = self.acts
        Signals(self, 31, lambda: acts.append("stop"), lambda: acts.append("abort")).install()

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call, arguments in calls:
            call(*arguments)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Signals are the whole process's. Install them later: the reactor may start after this."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield Stage()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_term_and_int_stop_and_a_second_signal_aborts(stage: Stage) -> None:
    stage.install()
    signal.raise_signal(signal.SIGTERM)
    assert stage.acts == [], "it may have struck within anything"
    stage.turn()
    assert stage.acts == ["stop"]
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    stage.turn()
    assert stage.acts == ["stop", "abort", "abort"]


def test_other_signals_are_left_alone(stage: Stage) -> None:
    before = signal.getsignal(signal.SIGHUP)
    stage.install()
    assert signal.getsignal(signal.SIGHUP) is before
