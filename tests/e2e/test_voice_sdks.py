"""
SDKs for voice, unmodified and with their own defaults, speak with a demo relay: the server hears
where a turn ends, and answers by itself.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import python_scripts
from processes import address_of, relay_command, running

CHIRP = Path(__file__).parent.parent / "data" / "chirp.wav"

URLS = {
    "agents": "ws://{relay}/v1/realtime?model=gpt-realtime",
    "pipecat": "ws://{relay}/v1/realtime",
    "livekit": "http://{relay}/v1",
}
"""What each SDK wants to be told of the relay."""


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a demo relay."""
    with running(relay_command("--demo"), tmp_path_factory.mktemp("demo")) as process:
        yield address_of(process).removeprefix("http://")


def samples(path: Path) -> bytes:
    """Those of a recording."""
    with wave.open(str(path)) as file:
        return bytes(file.readframes(file.getnframes()))


@pytest.mark.parametrize("sdk", URLS)
def test_an_sdk_speaks_twice_and_is_answered(sdk: str, relay: str, tmp_path: Path) -> None:
    python_scripts.require(sdk)
    url = URLS[sdk].format(relay=relay)
    out = python_scripts.run(sdk, f"{sdk}_turns.py", url, str(CHIRP), str(tmp_path))
    turns = [json.loads(line) for line in out.splitlines()]
    assert len(turns) == 2
    for number, turn in enumerate(turns):
        assert turn["errors"] == []
        assert turn["told"] == ["started", "stopped"]
        assert "of your own audio" in turn["text"]
        assert samples(CHIRP) in samples(tmp_path / f"{number}.wav")
