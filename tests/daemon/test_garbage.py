"""Nothing of a hold or a session that has ended waits for the garbage collector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import leftovers
from processes import SECONDS


def test_nothing_of_an_ended_session_is_left_to_the_collector() -> None:
    command = [sys.executable, str(Path(leftovers.__file__))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    # Whoever dies is named, and behind it what it leaves.
    assert done.stdout.split() == [life.__name__ for life in leftovers.LIVES]
