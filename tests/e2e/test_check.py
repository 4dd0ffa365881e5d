"""C{realtime-relay}: the command as a process, against upstreams that are wrong in one way each."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest
import trustme
from processes import (
    LOOPBACK,
    SECONDS,
    address_of,
    admin_of,
    closed_port,
    environ,
    relay_command,
    running,
)
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from relay.upstreams.breaker import FAILURES

COMMAND = [sys.executable, "-c", "from relay.commands.main import main; main()"]
KEY = "sk-check-0123456789"

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def relay(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environ(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of C{realtime-relay simulate}."""
    command = [*COMMAND, "simulate", "--listen", LOOPBACK]
    with running(command, tmp_path_factory.mktemp("simulator")) as process:
        assert process.stdout is not None
        found = re.search(r"ws://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]


def checked(folder: Path, url: str, *arguments: str) -> dict[str, Any]:
    """The finding of the one upstream."""
    done = relay(folder, "check", "--json", "--upstream", url, *arguments, OPENAI_API_KEY=KEY)
    assert done.stderr == ""
    assert KEY not in done.stdout
    (finding,) = json.loads(done.stdout)
    assert done.returncode == (0 if finding["ok"] else 1)
    return dict(finding)


def test_the_check_of_a_good_upstream_is_open(simulator: str, tmp_path: Path) -> None:
    finding = checked(tmp_path, simulator)
    assert finding["ok"]
    assert list(finding["stages"]) == ["dns", "tcp", "upgrade", "first_event"]


@pytest.mark.parametrize(
    ("model", "code", "word"),
    [
        ("fault-http-401", "upstream_unauthorized", "key"),
        ("fault-error-3000", "upstream_unauthorized", "key"),
        ("fault-error-4000", "upstream_rejected_request", "model"),
        ("fault-quota", "upstream_quota_exhausted", "quota"),
        ("fault-reset", "upstream_connect_failed", "down"),  # asked once: a check retries nothing
    ],
)
def test_the_check_tells_the_likely_cause_of_a_refusal(
    simulator: str, tmp_path: Path, model: str, code: str, word: str
) -> None:
    finding = checked(tmp_path, simulator, "--model", model)
    assert finding["code"] == code
    assert word in finding["cause"]


@pytest.mark.parametrize("fault", ["fault-http-401", "fault-quota", "closed port"])
def test_readyz_tells_of_a_failure_as_the_check_does(
    simulator: str, tmp_path: Path, fault: str
) -> None:
    url = f"ws://127.0.0.1:{closed_port()}/" if fault == "closed port" else simulator
    command = relay_command("--upstream", url, "--admin", LOOPBACK)
    with running(command, tmp_path, OPENAI_API_KEY=KEY) as process:
        public, admin = urlsplit(address_of(process)).netloc, admin_of(process)
        for _ in range(FAILURES):
            with closing(HTTPConnection(public, timeout=SECONDS)) as client:
                client.request("GET", f"/v1/realtime?model={quote(fault)}", headers=UPGRADE)
                assert client.getresponse().status == 502
        with urlopen(f"{admin}/readyz") as answer:
            (upstream,) = json.load(answer)["upstreams"]
    finding = checked(tmp_path, url, "--model", fault)
    assert upstream["breaker"] in ("open", "half-open")
    assert upstream["failure"] == {name: finding[name] for name in upstream["failure"]}
    assert upstream["failure"]["code"].startswith("upstream_")
    assert upstream["failure"]["cause"]


def test_an_upstream_without_the_model_is_asked_for_one_of_its_own(
    simulator: str, tmp_path: Path
) -> None:
    text = f'[[upstream]]\nurl = "{simulator}"\nmodels = {{ "mine" = "fault-http-401" }}'
    (tmp_path / "relay.toml").write_text(text)
    done = relay(tmp_path, "check", "--json", "--config", "relay.toml")
    assert [finding["code"] for finding in json.loads(done.stdout)] == ["upstream_unauthorized"]


def test_the_check_offers_the_subprotocols_of_the_settings(tmp_path: Path) -> None:
    def greet(websocket: ServerConnection) -> None:
        websocket.send('{"type":"acme.hello"}')

    with serve(greet, "127.0.0.1", 0, subprotocols=[Subprotocol("acme.v9")]) as server:
        threading.Thread(target=server.serve_forever).start()
        port = server.socket.getsockname()[1]
        text = f'[[upstream]]\nprovider = "generic"\nurl = "ws://127.0.0.1:{port}/"\n'
        text += 'first_event = true\nsubprotocols = ["acme.v9"]\n'
        (tmp_path / "relay.toml").write_text(text)
        done = relay(tmp_path, "check", "--json", "--config", "relay.toml")
    assert [finding["code"] for finding in json.loads(done.stdout)] == [None]


def test_the_check_tells_of_a_wrong_port(tmp_path: Path) -> None:
    finding = checked(tmp_path, f"ws://localhost:{closed_port()}/")
    assert (finding["code"], finding["stage"]) == ("upstream_connect_failed", "tcp")
    assert "port" in finding["cause"]


Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A listener that does this with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):  # until the listener is closed
                while True:
                    with server.accept()[0] as connection:
                        serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(SECONDS)


def answers_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_the_check_tells_of_a_plain_http_upstream(tmp_path: Path) -> None:
    with serving(answers_http) as port:
        finding = checked(tmp_path, f"wss://localhost:{port}/v1/realtime")
    assert (finding["code"], finding["stage"]) == ("upstream_tls_failed", "tls")
    assert "does not speak TLS" in finding["cause"]


def speaks_tls(leaf: trustme.LeafCert) -> Serve:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)

    def serve(connection: socket.socket) -> None:
        with (
            suppress(ssl.SSLError, ConnectionError),  # the relay does not trust it: the point
            context.wrap_socket(connection, server_side=True) as secure,
        ):
            secure.recv(4096)

    return serve


YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "trusted", "not_after", "word"),
    [
        ("localhost", True, YESTERDAY, "expired"),
        ("localhost", False, None, "authority"),
        ("other.test", True, None, "another host"),
    ],
)
def test_the_check_tells_of_a_bad_certificate(
    tmp_path: Path, name: str, trusted: bool, not_after: datetime | None, word: str
) -> None:
    authority = trustme.CA()
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serving(speaks_tls(authority.issue_cert(name, not_after=not_after))) as port:
        url = f"wss://localhost:{port}/v1/realtime"
        table = f'[[upstream]]\nurl = "{url}"\nca_file = "{tmp_path}/ca.pem"\n'
        (tmp_path / "relay.toml").write_text(table)
        done = relay(tmp_path, "check", "--config", "relay.toml", OPENAI_API_KEY=KEY)
    assert done.returncode == 1
    assert "upstream_tls_failed" in done.stdout
    assert word in done.stdout.splitlines()[-1]


def asks_who(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")


def test_the_check_tells_of_a_proxy_that_refuses(tmp_path: Path) -> None:
    with serving(asks_who) as port:
        proxy = f"http://relay:hunter2hunter2@127.0.0.1:{port}"
        done = relay(tmp_path, "check", OPENAI_API_KEY=KEY, https_proxy=proxy, no_proxy="")
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["upstream", "dns", "proxy", "tcp"]
    assert lines[1].split() == ["openai", "failed", "upstream_connect_failed"]
    assert "HTTP 407" in lines[-2]
    assert "HTTPS_PROXY" in lines[-1]


def test_the_check_tells_of_a_proxy_that_opens_the_tls(tmp_path: Path) -> None:
    speaks = speaks_tls(trustme.CA().issue_cert("api.openai.com"))

    def opens(connection: socket.socket) -> None:
        assert connection.recv(4096).startswith(b"CONNECT api.openai.com:443 HTTP/1.")
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        speaks(connection)

    with serving(opens) as port:
        proxy = f"http://127.0.0.1:{port}"
        done = relay(tmp_path, "check", OPENAI_API_KEY=KEY, https_proxy=proxy, no_proxy="")
    assert done.returncode == 1
    assert "upstream_tls_failed" in done.stdout
    assert "authority" in done.stdout.splitlines()[-1]


def test_a_service_that_cannot_be_asked_fails_the_check(simulator: str, tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text('[auth.callback]\nurl = "http://127.0.0.1:1/"\n', "utf-8")
    done = relay(
        tmp_path, "check", "--config", str(config), "--upstream", simulator, OPENAI_API_KEY=KEY
    )
    assert done.returncode == 1
    assert "[auth.callback]: http://127.0.0.1:1/" in done.stdout
    assert "It cannot be asked: ConnectionRefusedError." in done.stdout


def test_the_check_of_a_demo_is_open(tmp_path: Path) -> None:
    done = relay(tmp_path, "check", "--demo")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].startswith("simulator ")


def test_the_check_tells_the_path_that_a_url_without_one_gets(tmp_path: Path) -> None:
    done = relay(tmp_path, "check", "--upstream", "ws://127.0.0.1:1")
    assert "openai: ws://127.0.0.1:1 (asked for /v1/realtime)" in done.stdout.splitlines()


def test_the_check_tells_of_what_works_but_is_hardly_wanted(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("hold_seconds = 30\n")
    done = relay(tmp_path, "check", "--demo", "--config", "relay.toml")
    assert done.returncode == 0
    assert done.stderr.startswith("realtime-relay: hold_seconds: 30: SDKs give up at 10")


def test_the_check_tells_of_wrong_settings_first(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("holdseconds = 3\n")
    done = relay(tmp_path, "check", "--config", "relay.toml")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"realtime-relay: {tmp_path}/relay.toml: holdseconds: unknown key"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["dance"], "'dance' is no command"),
        (["simulate", "--listen", "nonsense"], "nonsense is no endpoint"),
        (["simulate", "--bogus"], "option --bogus not recognized"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(
    tmp_path: Path, arguments: list[str], line: str
) -> None:
    done = relay(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"realtime-relay: {line}")
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp:{server.getsockname()[1]}:interface=127.0.0.1"
        done = relay(tmp_path, "simulate", "--listen", endpoint)
    assert done.returncode == 1
    assert done.stderr == f"realtime-relay: cannot listen on {endpoint}: Address already in use\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_names_the_commands(tmp_path: Path, arguments: list[str]) -> None:
    done = relay(tmp_path, *arguments)
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("run", "check", "simulate"))


def test_run_is_twistd_in_the_foreground(tmp_path: Path) -> None:
    command = [*COMMAND, "run", "--demo", "--listen", LOOPBACK, "--admin", ""]
    with (
        running(command, tmp_path) as process,
        urlopen(f"{address_of(process)}/healthz", timeout=SECONDS) as answer,
    ):
        assert answer.read() == b"alive\n"
    assert list(tmp_path.iterdir()) == []
