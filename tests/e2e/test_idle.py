"""What a proxy does to a session in which nobody speaks, and Cloudflare to what the relay says."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from attrs import define
from page_proxies import fences, haproxy, is_ready, nginx
from processes import SECONDS, TWISTD, closed_port, running, until
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect
from websockets.uri import parse_uri

IDLE = "2s"
"""How long the proxy lets a session be silent."""

PINGS = 6
"""So many come in more than that: one in 0.4 s."""

SETTINGS = """
listen = ["tcp:PORT:interface=127.0.0.1"]
admin = ""
log_format = "json"
hosts = ["relay.example.com"]
"""

PINGING = "[limits]\nping_seconds = 0.2\npong_seconds = 0.2\n"
SILENT = "[limits]\nping_seconds = 3600.0\n"

CLOUDFLARE = """
proxy_intercept_errors on;
error_page 502 504 =502 @page;
"""

OF_ITS_OWN = 'location @page { return 502 "a page of the proxy\'s"; }'


@contextmanager
def relay(folder: Path, settings: str, *more: str) -> Iterator[int]:
    """A relay with the simulator; its port. Its log is C{log} in the folder."""
    port = closed_port()
    config = folder / "relay.toml"
    config.write_text((settings + "".join(more)).replace("PORT", str(port)), "utf-8")
    arguments = ["-n", "--pidfile=", f"--logfile={folder / 'log'}", "realtime-relay", "--demo"]
    with running([*TWISTD, *arguments, "--config", str(config)], folder):
        until(lambda: is_ready(port))
        yield port


@contextmanager
def behind(proxy: Callable[[int], list[str]], folder: Path) -> Iterator[int]:
    """A proxy; its port."""
    port = closed_port()
    with running(proxy(port), folder):
        until(lambda: is_ready(port))
        yield port


@define
class Client:
    """One that says nothing, and answers Pings."""

    wire: socket.socket
    protocol: ClientProtocol
    pings: int = 0

    def read(self) -> bool:
        """Read what there is to read; whether the connection goes on."""
        came = self.wire.recv(65536)
        if not came:
            return False
        self.protocol.receive_data(came)
        events = self.protocol.events_received()
        self.pings += sum(isinstance(e, Frame) and e.opcode is Opcode.PING for e in events)
        self.wire.sendall(b"".join(self.protocol.data_to_send()))
        return True


@contextmanager
def silent_client(port: int) -> Iterator[Client]:
    with socket.create_connection(("127.0.0.1", port), SECONDS) as wire:
        protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/v1/realtime?model=m"))
        protocol.send_request(protocol.connect())
        wire.sendall(b"".join(protocol.data_to_send()))
        yield Client(wire, protocol)


@pytest.fixture(params=[nginx, haproxy])
def proxy(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    """One that ends what is silent for L{IDLE}."""
    if shutil.which(request.param.__name__) is None:
        pytest.skip(f"not installed: {request.param.__name__}")
    made: Callable[..., list[str]] = request.param
    return made


@contextmanager
def silent_behind(proxy: Callable[..., list[str]], folder: Path, pings: str) -> Iterator[Client]:
    """A client that says nothing, behind a proxy that ends what is silent."""
    with ExitStack() as stack:
        ports = (stack.enter_context(relay(folder, SETTINGS, pings)), closed_port())
        between = behind(lambda port: proxy(folder, port, ports, idle=IDLE), folder)
        yield stack.enter_context(silent_client(stack.enter_context(between)))


def test_pings_keep_a_session_that_is_silent(
    proxy: Callable[..., list[str]], tmp_path: Path
) -> None:
    with silent_behind(proxy, tmp_path, PINGING) as client:
        while client.pings < PINGS:
            assert client.read(), f"cut after {client.pings} Pings"


def test_without_pings_a_session_that_is_silent_is_cut(
    proxy: Callable[..., list[str]], tmp_path: Path
) -> None:
    with silent_behind(proxy, tmp_path, SILENT) as client:
        while client.read():
            pass
        assert client.pings == 0
        log = tmp_path / "log"
        until(lambda: "closed req" in log.read_text())
        line = next(each for each in log.read_text().splitlines() if "closed req" in each)
        assert json.loads(line)["lost_by"] in ("end", "break")
        assert json.loads(line)["quiet_seconds"] > 1


@pytest.fixture
def cloudflare(tmp_path: Path) -> Callable[..., list[str]]:
    """nginx, which puts a page of its own in place of 502 and 504."""
    if shutil.which("nginx") is None:
        pytest.skip("not installed: nginx")

    def made(port: int, here: int) -> list[str]:
        command = nginx(tmp_path, port, (here, closed_port()), more=CLOUDFLARE)
        config = tmp_path / "nginx.conf"
        text = config.read_text().replace("location / {", f"{OF_ITS_OWN}\n    location / {{")
        config.write_text(text)
        return command

    return made


def test_a_page_in_place_of_a_502_hides_what_the_relay_says(
    cloudflare: Callable[..., list[str]], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        here = stack.enter_context(relay(tmp_path, SETTINGS))
        port = stack.enter_context(behind(lambda port: cloudflare(port, here), tmp_path))
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(f"ws://127.0.0.1:{port}/v1/realtime?model=fault-http-401"),
        ):
            pass
        assert b"a page of the proxy's" in (refused.value.response.body or b"")


@pytest.mark.parametrize("beginning", ['refusals = "event"', "listen = "])
def test_with_the_pages_settings_the_client_gets_the_truth_all_the_same(
    cloudflare: Callable[..., list[str]], tmp_path: Path, beginning: str
) -> None:
    own = next(each for each in fences("toml") if each.startswith(beginning) and "event" in each)
    if beginning.startswith("listen"):
        at = f"tcp:{closed_port()}"
        own = own.replace("tcp:8080", at).replace("tcp:8081", "tcp:PORT")
        own = own.replace("\n", "\n" + SETTINGS.split("\n", 2)[2], 1)
    else:
        own += SETTINGS
    with ExitStack() as stack:
        here = stack.enter_context(relay(tmp_path, own))
        port = stack.enter_context(behind(lambda port: cloudflare(port, here), tmp_path))
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=fault-http-401"
        client = stack.enter_context(connect(url))
        assert json.loads(client.recv())["error"]["code"] == "upstream_unauthorized"
