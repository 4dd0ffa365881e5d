"""
SDKs for voice, unmodified and with their own defaults, speak with a demo relay: the server hears
where a turn ends, and answers by itself.
"""

from __future__ import annotations

import json
import wave
from base64 import b64decode
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


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of what is said: samples only."""
    path = tmp_path_factory.mktemp("samples") / "chirp.pcm"
    with wave.open(str(CHIRP)) as file:
        path.write_bytes(file.readframes(file.getnframes()))
    return path


@pytest.mark.parametrize("sdk", URLS)
def test_an_sdk_speaks_twice_and_is_answered(sdk: str, relay: str, samples: Path) -> None:
    python_scripts.require(sdk)
    url = URLS[sdk].format(relay=relay)
    said = json.loads(python_scripts.run(sdk, f"{sdk}_turns.py", url, str(samples)))
    assert said["errors"] == []
    assert len(said["turns"]) == 2
    for turn in said["turns"]:
        assert turn["told"] == ["started", "stopped"]
        assert samples.read_bytes() in b64decode(turn["audio"])
        assert "of your own audio" in turn["text"]
