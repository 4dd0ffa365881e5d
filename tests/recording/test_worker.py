"""The thread that writes: in order, within a bound, and never in the reactor's way."""

from __future__ import annotations

import threading
from functools import partial

from relay.recording import worker
from relay.recording.worker import Worker

PATIENCE = 10.0
"""Seconds; a test that passes waits for none of them."""


def test_things_are_done_in_order_in_another_thread() -> None:
    made = Worker()
    done: list[tuple[int, str]] = []

    def note(number: int) -> None:
        done.append((number, threading.current_thread().name))

    for number in range(100):
        made.do(partial(note, number))
    assert made.flush(PATIENCE)
    assert done == [(number, "recordings") for number in range(100)]


def test_no_more_waits_than_may() -> None:
    made, gate = Worker(), threading.Event()
    made.do(lambda: gate.wait(PATIENCE))
    assert made.do(lambda: None, worker.WAITING)
    assert not made.do(lambda: None, 1)
    assert made.do(lambda: None), "what takes no room, such as an end, is always taken"
    assert not made.flush(0), "a thread that is busy is not waited for"
    gate.set()
    assert made.flush(PATIENCE)
    assert made.do(lambda: None, worker.WAITING)


def test_what_fails_ends_nothing_else() -> None:
    made = Worker()
    done: list[int] = []
    made.do(lambda: 1 / 0, 10)
    made.do(lambda: done.append(1), 10)
    assert made.flush(PATIENCE)
    assert done == [1]


def test_without_anything_to_do_there_is_no_thread() -> None:
    before = threading.active_count()
    assert Worker().flush(PATIENCE)
    assert threading.active_count() == before
