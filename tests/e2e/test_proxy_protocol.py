"""Sessions behind a balancer that speaks the PROXY protocol, cut without a word."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
from pathlib import Path

import pytest
from e2e.relays import authority
from processes import TWISTD, closed_port, running, said, until

SESSIONS = 5
PROXY = b"PROXY TCP4 192.0.2.1 127.0.0.1 50000 443\r\n"
REQUEST = (
    b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def opened(port: int, secure: ssl.SSLContext | None) -> socket.socket:
    """A session, just opened."""
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(PROXY)
    if secure is not None:
        made = secure.wrap_socket(made)
    made.sendall(REQUEST)
    seen = b""
    while b"session.created" not in seen:
        more = made.recv(4096)
        assert more, seen
        seen += more
    return made


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
def test_sessions_that_are_reset_leave_nothing(is_secure: bool, tmp_path: Path) -> None:
    port = closed_port()
    lines = [
        'admin = ""',
        "[[listener]]",
        f'endpoint = "haproxy:tcp:{port}:interface=127.0.0.1"',
    ]
    secure = None
    if is_secure:
        vouching = authority(tmp_path)
        secure = ssl.create_default_context()
        secure.check_hostname, secure.verify_mode = False, ssl.CERT_NONE
        lines += [f"certificate = {json.dumps(str(vouching.certificate))}"]
        lines += [f"key = {json.dumps(str(vouching.key))}"]
    config = tmp_path / "relay.toml"
    config.write_text("\n".join(lines), "utf-8")
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(config)]
    with running(command, tmp_path) as process:
        said(process, f"(listening on .*:{port})")

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{process.pid}/fd"))

        opened(port, secure).close()
        said(process, r"(closed) req_")
        idle = descriptors()
        sessions = [opened(port, secure) for _ in range(SESSIONS)]
        for each in sessions:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()
        until(lambda: descriptors() <= idle)
        process.terminate()
        assert process.stdout is not None
        log = process.stdout.read()
    assert log.count("closed req_") >= SESSIONS
    assert "Traceback" not in log
