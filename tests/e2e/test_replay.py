"""A session with a relay that records, and its file behind another relay: processes and sockets."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

from processes import LOOPBACK, address_of, relay_command, running, said
from websockets.sync.client import connect

COMMAND = [sys.executable, "-c", "from relay.commands.main import main; main()"]

PATH = "/v1/realtime?model=gpt-realtime"


def talk(url: str) -> list[Any]:
    """Have it write an answer; all that came."""
    got: list[Any] = []
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    with connect(url.replace("http", "ws", 1) + PATH) as session:
        for event in (
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create", "response": {"output_modalities": ["text"]}},
        ):
            session.send(json.dumps(event))
        while not got or json.loads(got[-1])["type"] != "response.done":
            got.append(session.recv(10))
    return got


def test_a_recorded_session_is_served_again(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    config = tmp_path / "relay.toml"
    config.write_text('record = "recordings"\nrecord_payloads = true\n', "utf-8")
    with running(relay_command("--demo", "--config", str(config)), tmp_path) as process:
        got = talk(address_of(process))
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text("ascii").splitlines()[-1])["closed_by"] == "client"
    with running([*COMMAND, "replay", str(file), "--listen", LOOPBACK], tmp_path) as upstream:
        url = said(upstream, r"replaying at (ws://\S+)")
        with running(relay_command("--upstream", url), tmp_path, OPENAI_API_KEY="sk-x") as process:
            assert talk(address_of(process)) == got
