"""Listeners that speak TLS, over real sockets: sessions, refusals, and who does not speak it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit

import pytest
import trustme
from processes import TWISTD, address_of, relay_command, running, said
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

BOUND = 20
"""Seconds until an answer counts as missing."""


@pytest.fixture(scope="module")
def config(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with one TLS listener."""
    folder = tmp_path_factory.mktemp("tls")
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    path = folder / "relay.toml"
    path.write_text(
        f"""
        admin = ""
        [[listener]]
        endpoint = "tcp:0:interface=127.0.0.1"
        certificate = "{folder}/both.pem"
        key = "{folder}/both.pem"
        [limits]
        head_seconds = 0.5
        """
    )
    return path


@pytest.fixture(scope="module")
def relay(config: Path) -> Iterator[tuple[str, int]]:
    """Host and port of a demo relay that speaks TLS."""
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(config)]
    with running(command, config.parent) as process:
        yield "127.0.0.1", port_of(process)


def port_of(process: Popen[str]) -> int:
    url = urlsplit(address_of(process))
    assert url.scheme == "https"
    assert url.port is not None
    return url.port


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_session_opens_over_tls(relay: tuple[str, int], authority: trustme.CA) -> None:
    url = f"wss://localhost:{relay[1]}/v1/realtime?model=m"
    with connect(url, ssl=trusting(authority)) as websocket:
        assert "session.created" in str(websocket.recv(BOUND))


def test_a_page_of_the_relays_own_https_origin_is_allowed(
    relay: tuple[str, int], authority: trustme.CA
) -> None:
    url = f"wss://localhost:{relay[1]}/v1/realtime?model=m"
    origin = Origin(f"https://localhost:{relay[1]}")
    with connect(url, ssl=trusting(authority), origin=origin) as websocket:
        assert "session.created" in str(websocket.recv(BOUND))


@pytest.mark.parametrize("protocols", [["http/1.1"], ["h2", "http/1.1"]])
def test_a_client_that_negotiates_a_protocol_gets_http_1_1(
    relay: tuple[str, int], authority: trustme.CA, protocols: list[str]
) -> None:
    context = trusting(authority)
    context.set_alpn_protocols(protocols)
    with (
        socket.create_connection(relay, timeout=BOUND) as client,
        context.wrap_socket(client, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "http/1.1"


def test_a_refusal_arrives_whole_over_tls(relay: tuple[str, int], authority: trustme.CA) -> None:
    url = f"wss://localhost:{relay[1]}/v1/realtime?model=fault-http-401"
    with pytest.raises(InvalidStatus) as caught, connect(url, ssl=trusting(authority)):
        pass
    response = caught.value.response
    assert response.status_code == 502
    assert len(response.body) == int(response.headers["Content-Length"])


def test_a_stalled_handshake_ends_at_the_deadline(relay: tuple[str, int]) -> None:
    with socket.create_connection(relay, timeout=BOUND) as client:
        client.sendall(b"\x16\x03\x01\x02")
        assert ended(client)


NO_TLS = [
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "speaks plain HTTP to this listener"),
    (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "speaks plain HTTP to this listener"),
    (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", "speaks no TLS to this listener"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "speaks no TLS to this listener"),
]


def test_what_is_no_tls_on_a_tls_listener_ends_and_is_logged_as_that(config: Path) -> None:
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(config)]
    with running(command, config.parent) as process:
        port = port_of(process)
        for data, fault in NO_TLS:
            with socket.create_connection(("127.0.0.1", port), timeout=BOUND) as client:
                client.sendall(data)
                assert ended(client)
            assert said(process, f"refused .*(bad_request) .*{fault}") == "bad_request"


def test_tls_on_a_plain_listener_ends_at_once_and_is_logged_as_that(tmp_path: Path) -> None:
    with running(relay_command("--demo"), tmp_path) as process:
        url = urlsplit(address_of(process))
        with (
            socket.create_connection((url.hostname, url.port), timeout=BOUND) as client,
            pytest.raises(OSError, match=r"EOF|reset"),
        ):
            ssl.create_default_context().wrap_socket(client, server_hostname="localhost")
        fault = "a client speaks TLS to this listener, which has none: use ws://"
        assert said(process, f"refused .*(bad_request) .*{fault}") == "bad_request"


def test_a_client_that_is_silent_after_the_handshake_ends_at_the_deadline(
    relay: tuple[str, int], authority: trustme.CA
) -> None:
    with (
        socket.create_connection(relay, timeout=BOUND) as client,
        trusting(authority).wrap_socket(client, server_hostname="localhost") as secure,
    ):
        assert ended(secure)


def ended(client: socket.socket) -> bool:
    """Whether the relay ends the connection; a time-out here is an error."""
    try:
        while client.recv(4096):
            pass
    except (ConnectionResetError, ssl.SSLError):
        pass
    return True


def test_an_adopted_socket_speaks_tls(config: Path, authority: trustme.CA) -> None:
    adopted = config.parent / "adopted.toml"
    adopted.write_text(
        config.read_text().replace("tcp:0:interface=127.0.0.1", "systemd:domain=INET:name=relay")
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        shell = 'exec 3<&"$1"; shift; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=relay exec "$@"'
        arguments = ["-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(adopted)]
        command = ["bash", "-c", shell, "sh", str(server.fileno()), *TWISTD, *arguments]
        with running(command, config.parent, pass_fds=(server.fileno(),)) as process:
            assert port_of(process) == port
            url = f"wss://localhost:{port}/v1/realtime?model=m"
            with connect(url, ssl=trusting(authority)) as websocket:
                assert "session.created" in str(websocket.recv(BOUND))


def untrusting() -> ssl.SSLContext:
    return ssl.create_default_context()


def too_old() -> ssl.SSLContext:
    """Of a client that knows no cipher of the listener's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    return context


FAILED = [(untrusting(), "does not accept this listener's certificate"), (too_old(), "in common")]


def test_a_tls_handshake_that_fails_is_logged_with_its_reason(config: Path) -> None:
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(config)]
    with running(command, config.parent) as process:
        port = port_of(process)
        for context, fault in FAILED:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=BOUND) as client,
                pytest.raises(ssl.SSLError),
            ):
                context.wrap_socket(client, server_hostname="localhost")
            assert said(process, f"refused .*(bad_request) .*{fault}") == "bad_request"
