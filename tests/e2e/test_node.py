"""The unmodified npm packages C{openai} and C{@openai/agents-realtime} through a demo relay."""

from __future__ import annotations

import base64
import json
import os
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import node_scripts
from e2e.relays import Authority, Relay, authority, demo_command, listening

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
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


@pytest.mark.parametrize(
    ("model", "said"), [("gpt-realtime", "Hello, parrot."), ("fault-error-3000", "502")]
)
def test_the_tutorials_script_talks_and_shows_a_refusal(
    demo: Relay, trusted: Authority, model: str, said: str
) -> None:
    (code,) = re.findall(r"`talk.mjs`.*?```js\n(.*?)```", TUTORIAL.read_text("utf-8"), re.DOTALL)
    script = node_scripts.FOLDER / f"tutorial-{os.getpid()}.mjs"  # beside the packages
    script.write_text(code.replace("https://localhost:8443", demo.secure), "utf-8")
    try:
        assert said in node_scripts.run(script.name, model, ca_file=trusted.ca_file)
    finally:
        script.unlink()


@pytest.mark.parametrize("more", [[], ["by-client"]])
def test_agents_realtime_speaks_with_a_demo_relay(
    demo: Relay, trusted: Authority, samples: Path, more: list[str]
) -> None:
    url = demo.plain.replace("http", "ws") + "/v1/realtime?model=gpt-realtime"
    out = node_scripts.run("agents_turn.mjs", url, str(samples), *more, ca_file=trusted.ca_file)
    told = json.loads(out)
    assert told["first"] == "session.created"
    assert heard(told) == samples.read_bytes()
    assert told["status"] == "completed"


@pytest.mark.parametrize(
    ("closes", "listens", "is_ended"),
    [("event", "", True), ("event", "listens", False), ("plain", "", False)],
)
def test_an_error_event_ends_a_process_whose_app_has_no_listener_for_it(
    tmp_path: Path, trusted: Authority, closes: str, listens: str, is_ended: bool
) -> None:
    with listening(demo_command(tmp_path, trusted, closes=closes), tmp_path) as relay:
        done = node_scripts.ran(
            "listenerless.mjs", f"{relay.secure}/v1", listens, ca_file=trusted.ca_file
        )
    assert (done.returncode != 0) is is_ended, done.stderr
    assert ("1011" in done.stdout) is not is_ended
    assert ("upstream closed the session" in done.stderr) is is_ended
    assert ("upstream closed the session" in done.stdout) is bool(listens)


def test_the_agents_sdk_sets_up_its_default_transport_through_a_demo_relay(
    demo: Relay, trusted: Authority
) -> None:
    url = f"{demo.plain}/v1/realtime/calls"
    told = json.loads(node_scripts.run("agents_call.mjs", url, ca_file=trusted.ca_file))
    assert told["callId"].startswith("rtc_")
    assert told["answer"]["type"] == "answer"
    assert told["answer"]["sdp"].startswith("v=0\r\n")
    refused = node_scripts.ran(
        "agents_call.mjs", f"{url}?model=fault-http-401", ca_file=trusted.ca_file
    )
    assert "failed with status 502" in refused.stderr
    assert "upstream key was refused" in refused.stderr
