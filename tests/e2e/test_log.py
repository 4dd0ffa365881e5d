"""The log of a relay that runs as a process: one that nobody reads, and one that is rotated."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from processes import LOOPBACK, SECONDS, TWISTD, address_of, environ, relay_command, running, until

from relay.daemon.sparing import LINES

REQUESTS = 1500


def refused(url: str, model: str = "m") -> str:
    """Send an upgrade that is refused, for its Host; return the answer's request id."""
    where = urlsplit(url)
    head = (
        f"GET /v1/realtime?model={model} HTTP/1.1\r\nHost: elsewhere.example\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((where.hostname, where.port), SECONDS) as client:
        client.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = client.recv(4096)
            assert received, "no answer"
            answer += received
    assert answer.startswith(b"HTTP/1.1 403 ")
    found = re.search(rb"(?i)x-request-id: (\S+)", answer)
    assert found
    return found[1].decode()


def ids_in(text: str) -> list[str]:
    """Of each request that was refused."""
    return [
        row["request_id"]
        for row in map(json.loads, text.splitlines())
        if row["message"].startswith("refused ")
    ]


def test_a_log_that_nobody_reads_stops_no_session_and_tells_what_it_dropped(tmp_path: Path) -> None:
    with running(relay_command("--demo", "--log-format", "json"), tmp_path) as process:
        url = address_of(process)
        long = "m" * 4096
        served = [refused(url, long) for _ in range(REQUESTS)]
        assert process.stdout is not None
        rows = []
        for line in process.stdout:
            rows.append(json.loads(line))
            if "dropped" in rows[-1]["message"]:
                break
        process.terminate()
        rows += map(json.loads, process.stdout)
    seen = [row["request_id"] for row in rows if row["message"].startswith("refused ")]
    (told,) = (row for row in rows if "dropped" in row["message"])
    assert told["message"] == f"{told['count']} log lines were dropped because nobody read the log"
    assert len(seen) + told["count"] == REQUESTS
    assert seen == served[: len(seen)], "the oldest are kept"
    assert rows[-1]["message"] == "Server Shut Down."


def test_a_log_that_nobody_reads_does_not_stop_the_relays_end(tmp_path: Path) -> None:
    with running(relay_command("--demo", "--log-format", "json"), tmp_path) as process:
        url = address_of(process)
        for _ in range(1000):
            refused(url, "m" * 4096)
        process.terminate()
        assert process.wait(SECONDS) == 0


class Fire:
    """Requests without a pause, until it ends; C{ids} are those that were answered."""

    def __init__(self, url: str) -> None:
        self.ids: list[str] = []
        self._url = url
        self._came = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._shoot, daemon=True)
        self._thread.start()

    def _shoot(self) -> None:
        while not self._stop.is_set():
            request_id = refused(self._url)
            with self._came:
                self.ids.append(request_id)
                self._came.notify()

    def wait_for_more(self) -> None:
        with self._came:
            enough = len(self.ids) + 50
            assert self._came.wait_for(lambda: len(self.ids) >= enough, SECONDS)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(SECONDS)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to ask how it went."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


@contextmanager
def daemon(folder: Path) -> Iterator[tuple[str, int]]:
    """A relay that logs to C{relay.log} by a relative path; its URL and process id."""
    flags = ["--pidfile=relay.pid", "--logfile=relay.log", "realtime-relay", "--demo"]
    command = [*TWISTD, *flags, "--log-format", "json", "--listen", LOOPBACK, "--admin", ""]
    subprocess.run(command, cwd=folder, env=environ(), check=True, timeout=SECONDS)
    pid_file, log = folder / "relay.pid", folder / "relay.log"
    pid = int(pid_file.read_text())
    try:
        until(lambda: "listening on" in log.read_text())
        found = re.search(r"listening on (http://[\d.:]+)", log.read_text())
        assert found
        yield found[1], pid
        os.kill(pid, signal.SIGTERM)
        until(lambda: has_ended(pid))  # with its last lines, which come behind the pid file's end
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_rotation_under_fire_loses_no_line_and_doubles_none(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    with daemon(tmp_path) as (url, pid):
        fire = Fire(url)
        for number in range(1, 9):
            fire.wait_for_more()
            log.rename(tmp_path / f"relay.log.{number}")
            if number % 2:
                with suppress(FileExistsError):  # the relay was faster
                    log.touch(exist_ok=False)
            if number % 4 < 2:
                os.kill(pid, signal.SIGUSR1)
        fire.wait_for_more()
        fire.end()
        # Copying and truncating is safe while nothing is logged.
        until(lambda: fire.ids[-1] in log.read_text())
        shutil.copy(log, tmp_path / "relay.log.9")
        os.truncate(log, 0)
        last = refused(url)
    files = sorted(tmp_path.glob("relay.log*"))
    assert len(files) == 10
    assert b"\0" not in b"".join(file.read_bytes() for file in files)
    logged = [request_id for file in files for request_id in ids_in(file.read_text())]
    assert sorted(logged) == sorted([*fire.ids, last])
    until(lambda: '"Server Shut Down."' in log.read_text())


def test_usr1_begins_a_new_file_though_nothing_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    with daemon(tmp_path) as (_, pid):
        os.kill(pid, signal.SIGUSR1)
        log.rename(tmp_path / "relay.log.old")
        os.kill(pid, signal.SIGUSR1)
        until(log.exists)
        assert {path.name for path in tmp_path.glob("relay.log*")} == {"relay.log", "relay.log.old"}


def test_a_daemon_that_forks_writes_its_first_lines_once(tmp_path: Path) -> None:
    with daemon(tmp_path):
        pass
    rows = map(json.loads, (tmp_path / "relay.log").read_text().splitlines())
    messages = [row["message"] for row in rows]
    assert [message.split()[0] for message in messages[:2]] == ["twistd", "reactor"]
    assert len(messages) == len(set(messages))


def test_lines_that_repeat_are_counted_at_the_end_of_the_log(tmp_path: Path) -> None:
    with running(relay_command("--demo"), tmp_path) as process:
        url = address_of(process)
        for _ in range(LINES + 5):
            refused(url)
        process.terminate()
        assert process.stdout is not None
        text = process.stdout.read()
    assert text.count("] refused req_") == LINES
    assert re.search(r"\] 5 more such lines were left out in 10 s, the last: refused req_", text)
    assert text.endswith("Server Shut Down.\n") or "left out" in text.splitlines()[-1]


def test_the_journal_gets_priorities(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = os.fstat(theirs.fileno())
        stream = f"{found.st_dev}:{found.st_ino}"
        ours.settimeout(SECONDS)
        process = subprocess.Popen(
            relay_command("--demo"),
            cwd=tmp_path,
            env={**environ(), "JOURNAL_STREAM": stream},
            stdout=theirs.fileno(),
        )
        theirs.close()
        lines: list[str] = []
        for line in ours.makefile():
            lines.append(line)
            if address := re.search(r"listening on (http://\S+)", line):
                refused(address[1])  # when it answers, it can be told to end
                process.terminate()
        assert process.wait(SECONDS) == 0
    assert all(re.match(r"<[2-7]>\S", line) for line in lines)
    assert lines[0].startswith("<6>")
