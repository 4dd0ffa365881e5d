"""C{twistd realtime-relay} as a process of its own, from a folder that is not the project's."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from processes import LOOPBACK, SECONDS, TWISTD, address_of, environ, relay_command, running, until

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run C{twistd} to its end."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TWISTD, *arguments],
            cwd=tmp_path,
            env=environ(**variables),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_twistd_knows_the_plugin(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert re.search(r"^ +realtime-relay ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            [],
            "upstream openai has no key: set OPENAI_API_KEY (or key_file in the configuration), or",
        ),
        (["--bogus"], "option --bogus not recognized"),
        (["--config", "relay.toml"], "{folder}/relay.toml: No such file or directory"),
        (["--demo", "--listen", "nonsense"], 'listen: "nonsense" is no endpoint'),
    ],
)
def test_a_fault_is_one_line_and_no_help_page(
    run: Run, arguments: list[str], line: str, tmp_path: Path
) -> None:
    done = run("-n", "realtime-relay", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"realtime-relay: {line.format(folder=tmp_path)}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_taken_port_in_the_foreground_is_one_line(run: Run, tmp_path: Path) -> None:
    with taken_port() as port:
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        done = run("-n", "realtime-relay", "--demo", "--listen", endpoint, "--admin", "")
    assert done.returncode == 1
    assert done.stderr == (f"realtime-relay: cannot listen on {endpoint}: Address already in use\n")
    assert f"#critical] cannot listen on {endpoint}" in done.stdout, "the log's last line"
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "twistd.pid").exists()


def test_a_taken_admin_port_is_one_line_that_says_what_to_do(run: Run) -> None:
    with taken_port() as port:
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        done = run("-n", "realtime-relay", "--demo", "--listen", LOOPBACK, "--admin", endpoint)
    assert done.returncode == 1
    assert done.stderr == (
        f"realtime-relay: cannot listen on {endpoint} for admin: Address already in use; name"
        " another endpoint by --admin or the key admin, or an empty one for no admin listener\n"
    )
    assert "Traceback" not in done.stdout


def test_a_taken_port_as_a_daemon_is_one_line(run: Run, tmp_path: Path) -> None:
    with taken_port() as port:
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        done = run("realtime-relay", "--demo", "--listen", endpoint, "--admin", "")
    assert done.returncode == 1
    line = f"cannot listen on {endpoint}: Address already in use"
    assert line[:60] in done.stderr, "twistd passes on the first 100 bytes"
    until(lambda: line in (tmp_path / "twistd.log").read_text())
    assert "Traceback" not in done.stderr + (tmp_path / "twistd.log").read_text()
    assert not (tmp_path / "twistd.pid").exists()


def answers(process: subprocess.Popen[str]) -> bool:
    """Only what answers has come so far that a signal is Twisted's."""
    with urlopen(f"{address_of(process)}/healthz", timeout=SECONDS) as answer:
        return bool(answer.status == 200)


def test_a_demo_runs_without_a_key_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with running(relay_command("--demo"), tmp_path) as process:
        assert answers(process)
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert list(tmp_path.iterdir()) == []


def test_json_lines_from_the_first_to_the_last(tmp_path: Path) -> None:
    with running(relay_command("--demo", "--log-format", "json"), tmp_path) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert answers(process)
        process.terminate()
        rest = [json.loads(line) for line in process.stdout]
    assert first["message"].startswith("twistd ")
    assert rest[-1]["message"] == "Server Shut Down."


def test_json_lines_of_a_daemon_go_to_twistds_log_file(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "relay.json"
    with taken_port() as port:
        endpoint = f"tcp:{port}:interface=127.0.0.1"
        flags = ["--demo", "--log-format", "json", "--listen", endpoint, "--admin", ""]
        assert run("--logfile", str(log), "realtime-relay", *flags).returncode == 1
    until(lambda: "critical" in log.read_text())
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["message"] for row in rows if row["level"] == "critical"] == [
        f"cannot listen on {endpoint}: Address already in use"
    ]
