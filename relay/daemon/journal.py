"""
Lines for systemd's journal: each begins with its priority, as C{<4>}, which the journal takes off.

Source: sd-daemon(3); systemd.exec(5) on C{JOURNAL_STREAM}.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from twisted.logger import LogEvent, LogLevel

PRIORITIES = {
    LogLevel.debug: "<7>",
    LogLevel.info: "<6>",
    LogLevel.warn: "<4>",
    LogLevel.error: "<3>",
    LogLevel.critical: "<2>",
}


def priority(event: LogEvent) -> str:
    """The priority of an event, as it stands before each of its lines."""
    level = event.get("log_level")
    if level is None and event.get("isError"):  # as Twisted's older log says it
        level = LogLevel.critical
    return PRIORITIES.get(level, PRIORITIES[LogLevel.info])


def is_journal(fd: int, environ: Mapping[str, str]) -> bool:
    """
    Whether a descriptor is the journal's stream. The variable alone does not say so: a process that
    was started by a service inherits it, though its output goes elsewhere.
    """
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
