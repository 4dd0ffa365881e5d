"""The relay behind nginx, HAProxy and Caddy, as the page sets them up, with real programs."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from attrs import frozen
from e2e.relays import authority
from e2e.test_pressure import UPGRADE
from page_proxies import caddy, haproxy, is_ready, nginx
from processes import TWISTD, closed_port, running, until

PROXIES = {each.__name__: each for each in (nginx, haproxy, caddy)}

CLIENT = "127.0.0.2"
"""Whence the client connects to the proxy."""

INVENTED = {"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.10"}
"""What it says of itself."""

SETTINGS = """
listen = ["tcp:PORT:interface=127.0.0.1"]
admin = ""
hold_seconds = 2.0
log_format = "json"
trusted_proxies = ["127.0.0.1"]
"""


@frozen
class Front:
    """
    A proxy with a relay behind it.

    @ivar trusted: whom its certificate is by.
    """

    port: int
    log: Path
    trusted: ssl.SSLContext

    @contextmanager
    def connected(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to it, which stays open for a further request."""
        made = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.trusted, source_address=(CLIENT, 0)
        )
        with closing(made):
            made.connect()
            yield made

    def asked(self, path: str) -> tuple[int, dict[str, object]]:
        """The status and the body of a request for a session that is refused."""
        lines = UPGRADE.decode().split("\r\n")[1:]
        fields = dict(line.split(": ", 1) for line in lines if line)
        with self.connected() as connection:
            connection.request("GET", path, headers={**fields, **INVENTED})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def record(self, outcome: str) -> dict[str, object]:
        """The last line of the relay's log that begins so."""

        def found() -> list[dict[str, object]]:
            lines = map(json.loads, self.log.read_text("utf-8").splitlines())
            return [line for line in lines if str(line["message"]).startswith(outcome)]

        until(found)
        return found()[-1]


@pytest.fixture(scope="module", params=PROXIES)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """A proxy and a relay. The other relay on the page is away."""
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"not installed: {name}")
    folder = tmp_path_factory.mktemp(name)
    port, here, away = (closed_port() for _ in range(3))
    log = folder / "log"
    (folder / "relay.toml").write_text(SETTINGS.replace("PORT", str(here)), "utf-8")
    arguments = ["-n", "--pidfile=", f"--logfile={log}", "realtime-relay", "--demo"]
    with ExitStack() as stack:
        command = [*TWISTD, *arguments, "--config", str(folder / "relay.toml")]
        stack.enter_context(running(command, folder))
        until(lambda: is_ready(here))
        certified = authority(folder)
        trusted = ssl.create_default_context(cafile=str(certified.ca_file))
        proxy = PROXIES[name](folder, port, (here, away), certified)
        stack.enter_context(running(proxy, folder))
        made = Front(port, log, trusted)
        until(lambda: _serves(made))
        yield made


def _serves(front: Front) -> bool:
    with suppress(OSError), front.connected() as connection:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    return False


def test_an_upgrade_after_another_request_on_the_same_connection_opens(front: Front) -> None:
    seen = b""
    with front.connected() as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        wire: socket.socket = connection.sock
        wire.sendall(UPGRADE.replace(b"/v1/realtime", b"/v1/realtime?model=m"))
        while b"session.created" not in seen:
            more = wire.recv(4096)
            assert more, seen
            seen += more
    assert seen.startswith(b"HTTP/1.1 101 ")


def test_a_refusal_comes_through_as_it_is(front: Front) -> None:
    status, body = front.asked("/v1/realtime?model=fault-http-401")
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (502, "upstream_unauthorized")


def test_a_hold_that_lasts_is_answered_by_the_relay_and_not_by_the_proxy(front: Front) -> None:
    status, body = front.asked("/v1/realtime?model=fault-hang")
    error = body["error"]
    assert isinstance(error, dict)
    assert (status, error["code"]) == (504, "upstream_timeout")


def test_the_record_has_the_clients_address(front: Front) -> None:
    front.asked("/v1/realtime?model=fault-quota")
    assert front.record("refused")["peer"] == CLIENT
