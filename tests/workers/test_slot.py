"""The place of one worker: when it is begun anew, when it is killed, and what stays of it."""

from __future__ import annotations

from errno import EMFILE
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from workers.crews import house
from zope.interface import provider

from relay.daemon.workers import slot as module
from relay.daemon.workers.slot import LATE, SILENT
from relay.telemetry.snapshot import Snapshot

COUNTED = Snapshot({"relay_sessions_active": {(): 3}}, {}, {})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of the parent's own log."""
    found: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        found.append(formatEvent(event))

    monkeypatch.setattr(module, "_log", Logger("slot", observer=cast(ILogObserver, observe)))
    return found


def test_a_worker_that_ends_is_begun_anew_at_once_and_then_later() -> None:
    with house(1) as home:
        home.processes[0].report()
        home.processes[0].dies()
        assert not home.slots[0].is_ready
        home.wait(0)
        assert len(home.processes) == 2
        home.processes[1].dies()
        home.wait(0.4)
        assert len(home.processes) == 2
        home.wait(0.1)
        assert len(home.processes) == 3


@pytest.mark.parametrize("exit_is_first", [False, True])
def test_what_it_told_last_counts_whether_the_process_or_its_channel_ends_first(
    exit_is_first: bool,
) -> None:
    with house(1) as home:
        process = home.processes[0]
        if exit_is_first:
            process.exits(signal=9)
            process.report(counted=COUNTED.as_json())
            assert home.ended == []
            process.process.channel.connectionLost()
        else:
            process.report(counted=COUNTED.as_json())
            process.dies()
        assert home.ended == [(COUNTED, False)]


def test_a_worker_that_says_nothing_is_killed_and_one_that_reports_is_not() -> None:
    with house(1) as home:
        (process,), (slot,) = home.processes, home.slots
        for _ in range(SILENT - 1):
            slot.tick()
        process.report()
        for _ in range(SILENT - 1):
            slot.tick()
        assert process.signals == []
        slot.tick()
        assert process.signals == ["KILL"]


def test_nobody_is_left_to_a_worker_that_is_late() -> None:
    with house(2) as home:
        home.shares.set(0, 1)
        for _ in range(LATE - 1):
            home.slots[0].tick()
        assert home.shares.is_ahead(1, 2)
        home.slots[0].tick()
        assert not home.shares.is_ahead(1, 2)


def test_a_worker_that_is_told_to_end_is_told_once_by_its_channel_and_no_other_begins() -> None:
    with house(1) as home:
        (process,), (slot,) = home.processes, home.slots
        slot.end("end")
        process.cross()
        assert (process.told, process.signals) == ([("end", ())], [])
        process.dies(signal=None)
        home.wait(60)
        assert home.ended == [(None, True)]
        assert slot.is_over
        assert len(home.processes) == 1


def test_none_begins_anew_once_all_are_to_end() -> None:
    with house(1) as home:
        home.processes[0].dies()
        home.slots[0].end("end")
        home.wait(60)
        assert len(home.processes) == 1


def test_lines_of_a_worker_are_passed_on_whole() -> None:
    with house(1) as home:
        process = home.processes[0].process
        process.outReceived(b"one\ntw")
        process.outReceived(b"o\nthree")
        assert home.lines == ["one\n", "two\n"]
        home.processes[0].dies()
        assert home.lines == ["one\n", "two\n", "three\n"]


def test_what_is_no_line_of_its_log_is_logged_in_the_parents_form(logged: list[str]) -> None:
    with house(1) as home:
        process = home.processes[0].process
        process.errReceived(b"Traceback:\n  Imp")
        process.outReceived(b"one\n")
        process.errReceived(b"ort")
        home.processes[0].dies()
        assert home.lines == ["one\n"]
        assert logged[:2] == ["worker 1: Traceback:", "worker 1:   Import"]


@pytest.mark.parametrize("has_channel", [False, True])
def test_a_worker_for_which_there_is_nothing_left_is_tried_again(
    has_channel: bool, logged: list[str]
) -> None:
    with house(1) as home:
        home.shortage = OSError(EMFILE, "Too many open files")
        home.processes[0].dies()
        home.connects_first = has_channel
        home.wait(0)
        if has_channel:
            home.unborn[0].channel.connectionLost()
        assert home.slots[0].is_over, "the relay can end"
        assert home.ended == [(None, False)] * 2
        assert logged[-1] == (
            "worker 1 (process 0) ended with Too many open files, before it began, and with it 0"
            " sessions; another one begins in 0.5 s"
        )
        home.shortage = None
        home.wait(0.5)
        assert len(home.processes) == 2


def test_a_worker_is_ready_when_it_says_so_and_that_is_told_once() -> None:
    with house(2) as home:
        assert not home.slots[0].is_ready
        home.processes[0].report()
        home.processes[0].report()
        assert home.ready == [1]
        home.processes[0].report(ready=False)
        assert not home.slots[0].is_ready


def test_the_share_of_a_worker_that_ended_counts_no_more() -> None:
    with house(2) as home:
        home.shares.set(0, 1)
        assert home.shares.is_ahead(1, 2)
        home.processes[0].dies()
        assert not home.shares.is_ahead(1, 2)
