"""
Run the scripts in C{python/}, each with the SDK that it is written for.

Each large SDK has a virtual environment of its own, so that none decides which version of
C{openai} or C{websockets} another runs with, nor the relay's tests.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from environments import Environment, output_of

FOLDER = Path(__file__).parent / "python"
MADE = FOLDER / "environments"

SDKS = {
    "plain": "openai == 3.57.0, aiohttp == 3.14.5, websockets == 17.4",
    "agents": "openai-agents == 0.24.0",
    "pipecat": "pipecat-ai[openai] == 1.14.0",
    "livekit": "livekit-plugins-openai == 1.8.9",
}
"""The name of an environment to the requirements that are installed there."""


def install(name: str) -> Environment:
    """
    The environment, made anew if what is there was made for other requirements.

    @raise AssertionError: with all that pip said, if the SDK cannot be installed.
    """
    parent = MADE / name
    stamp = parent / "installed"
    if not stamp.is_file() or stamp.read_text("utf-8") != SDKS[name]:
        shutil.rmtree(parent, ignore_errors=True)
        parent.mkdir(parents=True)
        Environment.create(parent).install(*SDKS[name].split(", "))
        stamp.write_text(SDKS[name], "utf-8")
    return Environment(parent / "environment", parent / "elsewhere")


def require(name: str) -> Environment:
    """Like L{install}, or skip and say why."""
    try:
        return install(name)
    except AssertionError as error:
        pytest.skip(f"cannot be installed: {SDKS[name]} ({str(error).splitlines()[-1]})")


def run(name: str, script: str, *arguments: str) -> str:
    """
    Run a script to its end, in the environment of an SDK that is installed.

    @return: its standard output.
    @raise AssertionError: with all it said, if it fails.
    """
    environment = install(name)
    command = [environment.path("python"), os.fspath(FOLDER / script), *arguments]
    return output_of(command, environment.elsewhere)
