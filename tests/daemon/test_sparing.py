"""Lines that repeat: what is written, what is counted, and when that is told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

from relay.daemon.sparing import KINDS, LINES, SECONDS, Sparing


@attrs.define
class Stage:
    """A log that is spared, and what is written to it."""

    clock: Clock = attrs.field(factory=Clock)
    written: list[LogEvent] = attrs.field(factory=list)
    sparing: Sparing = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        observer: Any = self.written.append
        self.sparing = Sparing(observer, self.clock.callLater, self.clock.seconds)

    def log(self, text: str, **more: Any) -> None:
        self.sparing({"log_namespace": "n", "log_level": LogLevel.warn, "log_format": text, **more})

    def text(self) -> list[str]:
        return [formatEvent(event) for event in self.written]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_of_lines_that_repeat_some_are_written_and_the_others_counted(stage: Stage) -> None:
    for number in range(LINES + 7):
        stage.log("refused {number}", number=number, log_same="refused")
    assert stage.text() == [f"refused {number}" for number in range(LINES)]
    stage.clock.advance(SECONDS)  # and nothing more is logged
    told = "7 more such lines were left out in 10 s, the last: refused 26"
    assert stage.text()[LINES:] == [told]
    assert stage.written[-1]["log_level"] is LogLevel.warn
    assert stage.written[-1]["log_namespace"] == "n"


def test_after_that_time_lines_are_written_again(stage: Stage) -> None:
    for _ in range(2):
        for _ in range(LINES):
            stage.log("again")
        stage.clock.advance(SECONDS)
    assert stage.text() == ["again"] * 2 * LINES
    assert stage.clock.getDelayedCalls() == []


def test_lines_of_other_kinds_are_written(stage: Stage) -> None:
    for number in range(3 * LINES):
        stage.log("own text {number}", number=number)
        stage.log("same text, own kind", log_same=number)
        stage.log("never left out", log_same=None)
    assert len(stage.written) == 9 * LINES


def test_tracebacks_repeat_each_other_whatever_their_lines_tell(stage: Stage) -> None:
    for number in range(LINES + 1):
        stage.log("failed at {number}", number=number, log_failure=Failure(ValueError()))
    assert len(stage.written) == LINES


def test_at_the_logs_end_all_that_was_left_out_is_told(stage: Stage) -> None:
    for text in ("a", "b"):
        for _ in range(LINES + 2):
            stage.log(text)
    stage.sparing.finish()
    assert stage.text()[2 * LINES :] == [
        f"2 more such lines were left out in 10 s, the last: {text}" for text in ("a", "b")
    ]
    stage.sparing.finish()
    assert len(stage.written) == 2 * LINES + 2


def test_a_bounded_number_of_kinds_is_remembered(stage: Stage) -> None:
    for _ in range(LINES + 1):
        stage.log("first")
    for number in range(2 * KINDS):
        stage.log("x", log_same=number)
    assert len(stage.sparing._runs) == KINDS
    assert "1 more such lines were left out in 10 s, the last: first" in stage.text()
