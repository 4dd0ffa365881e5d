"""The unmodified npm packages C{openai} and C{@openai/agents-realtime} through a demo relay."""

from __future__ import annotations

import base64
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import node_scripts
from e2e.relays import Authority, Relay, authority, demo_command, listening

CHIRP = Path(__file__).parent.parent / "data" / "chirp.wav"


@pytest.fixture(scope="session", autouse=True)
def _packages() -> None:
    """Installed once, in the checkout."""
    node_scripts.require()


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the relay."""
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, trusted: Authority) -> Iterator[Relay]:
    """A demo relay with a plain and a TLS port."""
    folder = tmp_path_factory.mktemp("demo")
    with listening(demo_command(folder, trusted), folder) as relay:
        yield relay


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of what is said: samples only."""
    path = tmp_path_factory.mktemp("samples") / "chirp.pcm"
    with wave.open(str(CHIRP)) as file:
        path.write_bytes(file.readframes(file.getnframes()))
    return path


def heard(told: dict[str, Any]) -> bytes:
    return b"".join(base64.b64decode(delta) for delta in told["audio"])


def test_openai_for_node_writes_and_speaks_over_tls(
    demo: Relay, trusted: Authority, samples: Path
) -> None:
    out = node_scripts.run(
        "openai_turns.mjs", f"{demo.secure}/v1", str(samples), ca_file=trusted.ca_file
    )
    told = json.loads(out)
    assert told["first"] == "session.created"
    assert told["text"] == "Grüß dich, 🦜!"
    assert heard(told) == samples.read_bytes()
    assert told["close"] == 3001


def test_agents_realtime_speaks_with_a_demo_relay(
    demo: Relay, trusted: Authority, samples: Path
) -> None:
    url = demo.plain.replace("http", "ws") + "/v1/realtime?model=gpt-realtime"
    out = node_scripts.run("agents_turn.mjs", url, str(samples), ca_file=trusted.ca_file)
    told = json.loads(out)
    assert told["first"] == "session.created"
    assert heard(told) == samples.read_bytes()
    assert told["status"] == "completed"
