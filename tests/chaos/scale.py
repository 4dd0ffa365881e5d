"""How much of each load: little beside the other tests, all of it with C{CHAOS=long}."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from random import SystemRandom
from typing import Any

import uvloop

LONG = os.environ.get("CHAOS") == "long"


def scaled(short: int, long: int) -> int:
    """The one or the other."""
    return long if LONG else short


def seed() -> int:
    """The one that C{CHAOS_SEED} says, or any; a failed test shows which it was."""
    chosen = int(os.environ.get("CHAOS_SEED") or SystemRandom().getrandbits(32))
    print(f"\nCHAOS_SEED={chosen}")
    return chosen


def run(test: Coroutine[Any, Any, None], seconds: float) -> None:
    """Run a test, for so long at most."""
    uvloop.run(asyncio.wait_for(test, seconds))
