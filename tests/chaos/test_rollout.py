"""Two relays behind a proxy, as the docs set it up, are replaced one after the other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from chaos.scale import scaled
from chaos.test_restarts import OPENED, UNLIMITED, streaming
from page_proxies import caddy, haproxy, is_ready, nginx
from processes import SECONDS, TWISTD, closed_port, running, until

REPLACEMENTS = scaled(2, 10)

ARRIVAL_SECONDS = 1 / scaled(50, 200)

SETTINGS = """
listen = ["tcp:PORT:interface=127.0.0.1"]
admin = ""
drain_delay_seconds = 3
drain_seconds = 1
"""


@contextmanager
def relay(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A relay that is ready."""
    config = folder / f"{port}.toml"
    config.write_text(SETTINGS.replace("PORT", str(port)) + UNLIMITED, "utf-8")
    arguments = ["-n", "--pidfile=", f"--logfile={folder / 'log'}", "realtime-relay", "--demo"]
    command = [*TWISTD, *arguments, "--config", str(config)]
    with running(command, folder, seconds=10 * SECONDS) as process:
        until(lambda: is_ready(port))
        yield process


@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
def test_no_client_is_refused_or_cut_while_relays_are_replaced(
    proxy: Callable[[Path, int, tuple[int, int]], list[str]], tmp_path: Path
) -> None:
    if shutil.which(proxy.__name__) is None:
        pytest.skip(f"not installed: {proxy.__name__}")
    port = closed_port()
    ports = (closed_port(), closed_port())
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
