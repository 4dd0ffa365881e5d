"""An upstream in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from processes import environ

TESTS = Path(__file__).parents[1]


@asynccontextmanager
async def upstream_process(port: int = 0) -> AsyncIterator[tuple[subprocess.Popen[str], int]]:
    """An echo that can be killed; its port."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("upstream.py")), str(port)],
        env=environ(PYTHONPATH=str(TESTS)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, int(await asyncio.to_thread(process.stdout.readline))
    finally:
        process.kill()
        process.communicate()
