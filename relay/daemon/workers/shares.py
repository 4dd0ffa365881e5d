"""
How many connections each worker has, in memory that all share, so that each serves its share.

All workers listen on the same socket. The kernel wakes all of them for a client, and the first one
accepts: often the same.
"""

from __future__ import annotations

import mmap
import os

ABSENT = -1
"""The count of a worker that accepts nobody."""

_SIZE = 8


class Shares:
    """
    The counts of all.

    @param fd: of the memory, as L{make} returns it.
    @param workers: how many there are.
    """

    def __init__(self, fd: int, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(fd, workers * _SIZE)).cast("q")

    def set(self, worker: int, count: int) -> None:
        """Say how many connections a worker has, or that it is L{ABSENT}."""
        self._counts[worker] = count

    def is_ahead(self, worker: int, count: int) -> bool:
        """Say how many a worker has; return whether another one has fewer."""
        self._counts[worker] = count
        return any(ABSENT < other < count for other in self._counts)


def make(workers: int) -> int:
    """The descriptor of new memory, in which all are absent."""
    fd = os.memfd_create("relay-workers", os.MFD_CLOEXEC)
    os.truncate(fd, workers * _SIZE)
    shares = Shares(fd, workers)
    for worker in range(workers):
        shares.set(worker, ABSENT)
    return fd
