"""What a process and all its descendants use, from C{/proc}."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of C{stat} that follow the name, which may itself hold spaces and brackets."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _parents() -> Iterator[tuple[int, int]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int(_stat(int(entry.name))[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def tree(pid: int) -> list[int]:
    """The process and its descendants: nginx works in a child."""
    parents = dict(_parents())
    found = [pid]
    # The list grows while it is walked.
    for parent in found:
        found.extend(child for child, its in parents.items() if its == parent)
    return found


def cpu_seconds(pids: list[int]) -> list[float]:
    """
    User and system time of each so far.

    @raise FileNotFoundError: if one is gone: a figure without it would be wrong.
    """
    return [sum(map(int, _stat(pid)[11:13])) / TICK for pid in pids]


def memory_kb(pids: list[int]) -> int:
    """Resident memory in kB, where pages that several share count in parts."""
    return sum(map(_proportional_kb, pids))


def _proportional_kb(pid: int) -> int:
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
