"""A thread that does one thing after the other, so that the reactor waits for no disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from attrs import frozen
from twisted.logger import Logger

_log = Logger()

WAITING = 16 * 2**20
"""Bytes that may wait to be written."""


@frozen
class _Task:
    do: Callable[[], object]
    size: int


class Worker:
    """
    Does what it is given, in order. Its thread begins with the first task, behind a daemon's fork,
    and does not keep the process alive.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_Task] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Each is written by one thread only, so that neither needs a lock.
        self._taken = self._done = 0

    def do(self, call: Callable[[], object], size: int = 0) -> bool:
        """
        Have this done.

        @param size: bytes that wait with it.
        @return: whether it will be: not if more than L{WAITING} bytes would wait then.
        """
        if size and self._taken - self._done + size > WAITING:
            return False
        self._taken += size
        self._tasks.put(_Task(call, size))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        return True

    def flush(self, seconds: float) -> bool:
        """Wait until all is done, but no longer than this; return whether it is."""
        if self._thread is None:
            return True
        reached = threading.Event()
        self.do(reached.set)
        return reached.wait(seconds)

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task.do()
            except Exception:
                _log.failure("a recording failed")
            self._done += task.size
