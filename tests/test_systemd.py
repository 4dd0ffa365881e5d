"""The systemd unit is one that systemd takes, and what it starts finds its key."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.listening_upstream import listening_upstream
from processes import LOOPBACK, SECONDS, TWISTD, address_of, running
from websockets.sync.client import connect

from relay import Settings

UNIT = Path(__file__).parents[1] / "deploy" / "systemd" / "realtime-relay.service"
PROGRAM = "/opt/realtime-relay/bin/twistd"
CONFIG = "/etc/realtime-relay/relay.toml"
KEY = "sk-from-systemd"


def setting(name: str) -> str:
    """The one value of a setting of the unit."""
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return str(value)


def complaints(folder: Path, text: str) -> str:
    """What systemd says of a unit."""
    unit = folder / UNIT.name
    # It looks whether the program is there.
    unit.write_text(text.replace(PROGRAM, sys.executable), "utf-8")
    command = ["systemd-analyze", "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    # It loads what the unit is ordered after too, and a container may lack some of that.
    lines = done.stderr.splitlines(keepends=True)
    return "".join(line for line in lines if UNIT.name in line)


def test_systemd_does_not_kill_the_relay_while_it_drains() -> None:
    settings = Settings()
    drain = settings.drain_delay_seconds + settings.drain_seconds + 1
    assert drain + 5 <= int(setting("TimeoutStopSec")) <= drain + 30


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8")
    assert complaints(tmp_path, text) == ""
    assert "sometimes" in complaints(tmp_path, text.replace("on-failure", "sometimes"))


def test_the_relay_that_the_unit_starts_has_its_key(tmp_path: Path) -> None:
    program, *arguments = setting("ExecStart").split()
    credential, _, _ = setting("LoadCredential").partition(":")
    assert program == PROGRAM
    (tmp_path / credential).write_text(KEY + "\n")
    config = tmp_path / "relay.toml"
    arguments[arguments.index(CONFIG)] = str(config)
    with listening_upstream() as upstream:
        listen = f'listen = ["{LOOPBACK}"]\nadmin = ""\n'
        config.write_text(f'{listen}upstream = [{{url = "{upstream.url}"}}]\n')
        command = [*TWISTD, *arguments]
        with running(command, tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path)) as relay:
            url = address_of(relay).replace("http", "ws") + "/v1/realtime?model=m"
            with connect(url, open_timeout=SECONDS):
                pass
            heard = upstream.sessions.get(timeout=SECONDS)
    assert dict(heard.head)["Authorization"] == f"Bearer {KEY}"
