"""The folder of the recordings: one file a session, for its owner's eyes only."""

from __future__ import annotations

import os
import re
from pathlib import Path

from relay.rules.errors import RelayError

SUFFIX = ".jsonl"

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class NoRoom(RelayError):
    """The folder holds as many recordings as it may."""


def name_of(began: str, id: str) -> str:
    """What the file of a session is called, in the order of time."""
    stamp, plain = re.sub("[-:]", "", began), re.sub("[^A-Za-z0-9_-]", "_", id)
    return f"{stamp}-{plain[:80]}{SUFFIX}"


def create(folder: Path, name: str, most: int) -> int:
    """
    A new file, open for writing. It is never one that was there, nor what a link leads to.

    @param most: recordings that the folder may hold.
    @return: its descriptor.
    @raise NoRoom: if it holds so many.
    @raise OSError: if there can be none.
    """
    if sum(each.endswith(SUFFIX) for each in os.listdir(folder)) >= most:
        raise NoRoom(
            f"{folder} holds {most} recordings, so no session is recorded until some are taken away"
        )
    return os.open(folder / name, _FLAGS, 0o600)


def write(descriptor: int, data: bytes) -> None:
    """@raise OSError: if not all of it can be written."""
    unwritten = memoryview(data)
    while unwritten:
        unwritten = unwritten[os.write(descriptor, unwritten) :]
