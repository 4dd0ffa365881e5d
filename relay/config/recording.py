"""The folder of the recordings, before anything is written into it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from relay.config.settings import Settings


def faults_of_recording(settings: Settings) -> Iterator[str]:
    """What is wrong with the folder that the settings name, if they name one."""
    path = settings.record
    fault = None if path is None else _fault_of(path)
    if fault is not None:
        yield f"record: {path}: {fault}"


def _fault_of(path: str) -> str | None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return str(error.strerror)
    if not stat.S_ISDIR(mode):
        return "not a folder"
    if mode & stat.S_IWOTH:
        return "all users of this machine can write into it; take that from them: chmod o-w"
    return None if os.access(path, os.W_OK | os.X_OK) else "the relay cannot write into it"
