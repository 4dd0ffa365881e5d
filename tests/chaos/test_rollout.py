"""Two relays behind a proxy, as the docs set it up, are replaced one after the other."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from chaos.scale import scaled
from chaos.test_restarts import OPENED, streaming
from processes import SECONDS, TWISTD, closed_port, running, until

PAGE = Path(__file__).parents[2] / "docs" / "behind.md"

REPLACEMENTS = scaled(2, 10)

ARRIVAL_SECONDS = 1 / scaled(50, 200)

SETTINGS = """
listen = ["tcp:PORT:interface=127.0.0.1"]
admin = ""
drain_delay_seconds = 3
drain_seconds = 1

[limits]
sessions = 100000
address_sessions = 0
address_holds = 0
address_handshakes = 0
short_sessions = 0
"""

NGINX = """
pid FOLDER/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path FOLDER/1; proxy_temp_path FOLDER/2; fastcgi_temp_path FOLDER/3;
    uwsgi_temp_path FOLDER/4; scgi_temp_path FOLDER/5;
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
frontend in
    bind 127.0.0.1:PORT
    default_backend relay
"""


def of_page(language: str, beginning: str) -> str:
    """The configuration on the page that begins so."""
    text = PAGE.read_text("utf-8")
    fences = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found: str = next(each for each in fences if each.startswith(beginning))
    return found


def on(ports: list[int], text: str) -> str:
    """The page's configuration, with these relays."""
    first, second = ports
    return text.replace("127.0.0.1:8080", f"127.0.0.1:{first}").replace(
        "127.0.0.1:8081", f"127.0.0.1:{second}"
    )


def nginx(folder: Path, port: int, relays: list[int]) -> list[str]:
    """nginx at this port. TLS is left out, because the clients here speak none."""
    text = on(relays, of_page("nginx", "upstream relay"))
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    config = folder / "nginx.conf"
    config.write_text(NGINX.replace("FOLDER", str(folder)) + text + "}\n", "utf-8")
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]
    return [*command, "-g", "daemon off; master_process off;"]


def haproxy(folder: Path, port: int, relays: list[int]) -> list[str]:
    """HAProxy at this port."""
    text = on(relays, of_page("text", "backend relay"))
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.replace("PORT", str(port)) + text, "utf-8")
    return ["haproxy", "-db", "-f", str(config)]


def is_ready(port: int) -> bool:
    """Whether a relay, or a proxy with one, answers here."""
    url = f"http://127.0.0.1:{port}/readyz"
    with suppress(URLError, ConnectionError), urlopen(url) as answer:
        return bool(answer.status == 200)
    return False


@contextmanager
def relay(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A relay that is ready."""
    config = folder / f"{port}.toml"
    config.write_text(SETTINGS.replace("PORT", str(port)), "utf-8")
    arguments = ["-n", "--pidfile=", f"--logfile={folder / 'log'}", "realtime-relay", "--demo"]
    command = [*TWISTD, *arguments, "--config", str(config)]
    with running(command, folder, seconds=10 * SECONDS) as process:
        until(lambda: is_ready(port))
        yield process


@pytest.mark.parametrize("proxy", [nginx, haproxy])
def test_no_client_is_refused_or_cut_while_relays_are_replaced(
    proxy: Callable[[Path, int, list[int]], list[str]], tmp_path: Path
) -> None:
    if shutil.which(proxy.__name__) is None:
        pytest.skip(f"not installed: {proxy.__name__}")
    port, *ports = (closed_port() for _ in range(3))
    with ExitStack() as stack:
        relays = [ExitStack() for _ in ports]
        for each in relays:
            stack.enter_context(each)
        processes = [
            each.enter_context(relay(tmp_path, number))
            for each, number in zip(relays, ports, strict=True)
        ]
        stack.enter_context(running(proxy(tmp_path, port, ports), tmp_path, seconds=10 * SECONDS))
        until(lambda: is_ready(port))
        with streaming(port, ARRIVAL_SECONDS) as stream:
            for replacement in range(REPLACEMENTS):
                at = replacement % len(ports)
                stream.serve_some()
                processes[at].terminate()
                assert processes[at].wait(SECONDS) == 0
                relays[at].close()
                processes[at] = relays[at].enter_context(relay(tmp_path, ports[at]))
                stream.serve_some()
            stream.over = True
            for process in processes:  # whoever stays until the drain is told of it
                process.terminate()
    print(f"\n{REPLACEMENTS} replacements, {stream.ends}, {stream.drained} until the drain")
    assert set(stream.ends) == {OPENED}
    assert stream.drained
    assert "Traceback" not in (tmp_path / "log").read_text()
