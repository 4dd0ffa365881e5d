"""Signals: the first one stops, the next aborts, and none is acted on where it strikes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from relay.daemon.signals import ENDS, IDLE, RELOADS, Signals


@dataclass
class Stage:
    """Signals on a reactor that only keeps what it is to call."""

    calls: list[tuple[Callable[..., object], tuple[object, ...]]] = field(default_factory=list)
    acts: list[str] = field(default_factory=list)

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        self.calls.append((call, arguments))

    def install(self) -> None:
        acts = self.acts
        stop, abort, reload = (partial(acts.append, name) for name in ("stop", "abort", "reload"))
        signals = Signals(self, 31, stop, abort, reload)
        signals.survive()
        signals.install()

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call, arguments in calls:
            call(*arguments)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Signals are the whole process's. Install them later: the reactor may start after this."""
    before = {number: signal.getsignal(number) for number in (*ENDS, RELOADS, *IDLE)}
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


def test_hup_reloads_until_the_end_begins(stage: Stage) -> None:
    stage.install()
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(number)
    assert stage.acts == []
    stage.turn()
    assert stage.acts == ["reload", "reload", "stop"]


def test_signals_that_mean_nothing_end_nothing_and_those_that_somebody_takes_are_left_alone(
    stage: Stage,
) -> None:
    came: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: came.append(number))
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    others = signal.getsignal(signal.SIGWINCH)
    stage.install()
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    assert came == [signal.SIGUSR1]
    assert signal.getsignal(signal.SIGWINCH) is others
