"""The units under a systemd of their own, installed and used by the commands of their page."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from chaos.booted import Booted, booted, missing
from chaos.scale import LONG
from chaos.test_restarts import OPENED, streaming
from e2e.listening_upstream import ListeningUpstream, listening_upstream
from environments import copy_checkout
from processes import SECONDS, until
from websockets.sync.client import connect

PAGE = (Path(__file__).parents[2] / "docs" / "systemd.md").read_text("utf-8")

NAME = "upstream.test"
RESOLVER = "127.0.0.153"
RESTARTS = 20

SETTINGS = """
[[upstream]]
url = "wss://{name}:{port}/v1/realtime"
ca_file = "/etc/realtime-relay/ca.pem"
{key_file}

[limits]
address_sessions = 0
address_holds = 0
address_handshakes = 0
short_sessions = 0
"""

pytestmark = [
    pytest.mark.skipif(not LONG, reason="CHAOS is not long"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


def commands(section: str, number: int = 0) -> str:
    """One of the scripts below a heading of the page."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    scripts: list[str] = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return scripts[number]


def answer(query: bytes) -> bytes:
    """The answer to a question for a name: loopback's address, and none of version 6 (RFC 1035)."""
    end = query.index(b"\0", 12) + 5
    asks_for_4 = query[end - 4 : end - 2] == b"\0\1"
    head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if asks_for_4 else b"\0\0") + bytes(4)
    record = b"\xc0\x0c\0\1\0\1" + b"\0\0\0\1" + b"\0\4" + socket.inet_aton("127.0.0.1")
    return head + query[12:end] + (record if asks_for_4 else b"")


@contextmanager
def resolver() -> Iterator[list[bytes]]:
    """A server of names; what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((RESOLVER, 53))

        def serve() -> None:
            while True:
                query, client = server.recvfrom(4096)
                if not query:
                    return
                asked.append(query)
                server.sendto(answer(query), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            server.sendto(b"", server.getsockname())
            thread.join(SECONDS)


@contextmanager
def secure_upstream(folder: Path) -> Iterator[ListeningUpstream]:
    """An upstream by TLS, whose authority is in a file of the folder."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(context)
    with listening_upstream(context) as upstream:
        yield upstream


def credential(upstream: ListeningUpstream) -> str:
    """What the relay sends to the upstream for a session."""
    with connect("ws://127.0.0.1:8080/v1/realtime?model=m", open_timeout=SECONDS) as client:
        assert "session.created" in str(client.recv(SECONDS))
    return dict(upstream.sessions.get(timeout=SECONDS).head)["Authorization"]


def install(system: Booted, folder: Path, port: int) -> None:
    """As the page says, with a key and settings as if by an editor."""
    system.run(commands("Install"))
    system.run(commands("Install", 1))
    (line,) = set(re.findall(r'^key_file = "/etc/.*"$', PAGE, re.MULTILINE))
    settings = SETTINGS.format(name=NAME, port=port, key_file=line)
    (folder / "relay.toml").write_text(settings)
    (folder / "openai.key").write_text("sk-first\n")
    editor = 'editor() { cat "$(basename "$1")" >"$1"; }\n'
    system.run(editor + commands("Settings and keys") + "cp ca.pem /etc/realtime-relay")
    system.run(f"rm -f /etc/resolv.conf; echo nameserver {RESOLVER} >/etc/resolv.conf")


def test_the_units_do_what_the_page_says(tmp_path: Path) -> None:
    folder, temporary = tmp_path / "checkout", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    copy_checkout(folder)
    with (
        resolver() as asked,
        secure_upstream(folder) as upstream,
        booted(folder, temporary) as system,
    ):
        install(system, folder, int(upstream.url.split(":")[2].split("/")[0]))
        assert "200 OK" in system.run(commands("Start"))
        assert system.run(commands("Start", 1)).rstrip().endswith(" open")
        upstream.sessions.get(timeout=SECONDS)
        assert system.shown("StatusText").startswith("serving, sessions: 0")
        assert credential(upstream) == "Bearer sk-first"
        assert asked, "the relay looked the name up"

        (folder / "new.key").write_text("sk-second\n")
        system.run(commands("Settings and keys", 1))
        assert credential(upstream) == "Bearer sk-second"

        listen = 'listen = ["systemd:domain=INET:name=relay"]\\ndrain_seconds = 1'
        system.run(f"sed -i '1i {listen}' /etc/realtime-relay/relay.toml")
        system.run(commands("Restart without turning clients away"))
        with streaming(8080) as stream:
            for _ in range(RESTARTS):
                stream.serve_some()
                system.run(
                    "systemctl reset-failed realtime-relay; systemctl restart realtime-relay"
                )
            stream.over = True
            system.run("systemctl restart realtime-relay")
            stream.stop()
        print(f"\n{RESTARTS} restarts, {stream.ends}, of which {stream.drained} stayed")
        assert set(stream.ends) == {OPENED}

        before = system.shown("MainPID")
        system.run("systemctl kill --signal=STOP realtime-relay")
        until(lambda: system.shown("NRestarts") == "1" and system.shown("MainPID") != before)
        assert "Fatal Python error: Aborted" in system.run("journalctl --unit=realtime-relay")
        assert credential(upstream) == "Bearer sk-second"
        system.run("systemctl stop realtime-relay.socket realtime-relay")
        assert system.shown("Result") == "success"
