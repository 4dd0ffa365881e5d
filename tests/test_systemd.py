"""The systemd units are ones that systemd takes; what they start finds its key and its socket."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.listening_upstream import listening_upstream
from processes import LOOPBACK, SECONDS, TWISTD, address_of, relay_command, running
from websockets.sync.client import connect

from relay import Settings
from relay.config.settings import LOOPBACK_ENDPOINT
from relay.daemon.descriptors import sessions_within
from relay.daemon.listening import QUEUE
from relay.daemon.notify import STATUS_SECONDS
from relay.daemon.service import SESSION

FOLDER = Path(__file__).parents[1] / "deploy" / "systemd"
UNIT = FOLDER / "realtime-relay.service"
SOCKET = FOLDER / "realtime-relay.socket"
PAGE = Path(__file__).parents[1] / "docs" / "systemd.md"
PROGRAM = "/opt/realtime-relay/bin/twistd"
CONFIG = "/etc/realtime-relay/relay.toml"
KEY = "sk-from-systemd"


EXPOSURE = 1.5
"""What C{systemd-analyze security} may say at most, of 10."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH"
)


def setting(name: str, unit: Path = UNIT) -> str:
    """The one value of a setting of a unit, which may be there as a comment."""
    (value,) = re.findall(rf"^#?{name}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)
    return str(value)


def analyzed(verb: str, *arguments: str) -> tuple[str, str]:
    """What systemd-analyze says, and what it complains of."""
    command = ["systemd-analyze", verb, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    return done.stdout, done.stderr


def complaints(folder: Path, text: str) -> str:
    """What systemd says of a service's unit, and of the socket's beside it."""
    unit = folder / UNIT.name
    # It looks whether the program is there.
    unit.write_text(text.replace(PROGRAM, sys.executable), "utf-8")
    shutil.copy(SOCKET, folder)
    _, said = analyzed("verify", str(unit), str(folder / SOCKET.name))
    # It loads what the unit is ordered after too, and a container may lack some of that.
    lines = said.splitlines(keepends=True)
    return "".join(line for line in lines if UNIT.stem in line)


def test_systemd_does_not_kill_the_relay_while_it_drains() -> None:
    settings = Settings()
    drain = settings.drain_delay_seconds + settings.drain_seconds + 1
    assert drain + 5 <= int(setting("TimeoutStopSec")) <= drain + 30


def test_a_reload_does_not_end_the_relay(tmp_path: Path) -> None:
    kill, number, pid = setting("ExecReload").split()
    assert (kill, pid) == ("/bin/kill", "$MAINPID")
    with running(relay_command("--demo"), tmp_path) as relay:
        url = address_of(relay).replace("http", "ws") + "/v1/realtime?model=m"
        subprocess.run([kill, number, str(relay.pid)], check=True, timeout=SECONDS)
        with connect(url, open_timeout=SECONDS) as client:
            assert "session.created" in str(client.recv(SECONDS))
        assert relay.poll() is None


def test_systemd_allows_what_the_settings_allow() -> None:
    assert sessions_within(int(setting("LimitNOFILE")), SESSION) >= Settings().limits.sessions
    assert int(setting("Backlog", SOCKET)) == QUEUE
    assert int(setting("WatchdogSec")) >= 3 * STATUS_SECONDS


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8")
    assert complaints(tmp_path, text) == ""
    assert "sometimes" in complaints(tmp_path, text.replace("on-failure", "sometimes"))


@needs_systemd
def test_the_relay_is_exposed_to_little() -> None:
    said, _ = analyzed("security", "--offline=true", "--no-pager", str(UNIT))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= EXPOSURE, said


def test_the_page_names_the_socket_as_its_unit_does() -> None:
    host, _, port = setting("ListenStream", SOCKET).partition(":")
    assert f"tcp:{port}:interface={host}" == LOOPBACK_ENDPOINT, "the same place as without it"
    name = setting("FileDescriptorName", SOCKET)
    assert f'listen = ["systemd:domain=INET:name={name}"]' in PAGE.read_text("utf-8")


def started(folder: Path, key_file: str = "", credentials: str = "") -> str:
    """Start what the unit starts, with a session; return the credential that upstream was sent."""
    program, *arguments = setting("ExecStart").split()
    assert program == PROGRAM
    config = folder / "relay.toml"
    arguments[arguments.index(CONFIG)] = str(config)
    with listening_upstream() as upstream:
        table = f'[[upstream]]\nurl = "{upstream.url}"\n{key_file}'
        config.write_text(f'listen = ["{LOOPBACK}"]\nadmin = ""\n{table}\n')
        with running([*TWISTD, *arguments], folder, CREDENTIALS_DIRECTORY=credentials) as relay:
            url = address_of(relay).replace("http", "ws") + "/v1/realtime?model=m"
            with connect(url, open_timeout=SECONDS):
                pass
            heard = upstream.sessions.get(timeout=SECONDS)
    return dict(heard.head)["Authorization"]


def test_the_relay_that_the_unit_starts_has_the_key_that_the_page_names(tmp_path: Path) -> None:
    (line,) = set(re.findall(r'^key_file = "/etc/.*"$', PAGE.read_text("utf-8"), re.MULTILINE))
    line = line.replace("/etc/realtime-relay", str(tmp_path))
    (tmp_path / "openai.key").write_text(KEY + "\n")
    assert started(tmp_path, key_file=line) == f"Bearer {KEY}"


def test_the_relay_that_the_unit_starts_has_the_credential_that_it_offers(tmp_path: Path) -> None:
    credential, _, _ = setting("LoadCredential").partition(":")
    (tmp_path / credential).write_text(KEY + "\n")
    assert started(tmp_path, credentials=str(tmp_path)) == f"Bearer {KEY}"
