"""The browser's client in Chromium, while the network and the relay go and come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e import chromium
from e2e.pages import lacking
from playwright.sync_api import Page
from processes import LOOPBACK, address_of, closed_port, relay_command, running

CONNECT = """
async (secret) => {
  const { RealtimeConnection } = await import("/realtime-client.js");
  const mint = async () => {
    const answer = await fetch("/v1/realtime/client_secrets", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ session: { type: "realtime", model: "gpt-realtime" } }),
    });
    return (await answer.json()).value;
  };
  window.secrets = [];
  window.states = [];
  const first = await mint();
  const credential = async () => {
    const value = secret === "renewed" ? await mint() : first;
    window.secrets.push(value);
    return value;
  };
  const url = `${location.origin.replace("http", "ws")}/v1/realtime?model=gpt-realtime`;
  window.connection = new RealtimeConnection(url, { credential, backoffBase: 0.2, backoffMost: 1 });
  connection.addEventListener("state", ({ detail }) => states.push(detail.state));
  connection.connect();
}
"""

FAILED = ("Failed to load resource: net::ERR_", "Failed to load resource: the server responded")
"""What Chromium logs of a fetch while there is no relay."""


@pytest.fixture
def port() -> int:
    """Where the relay is, each time anew."""
    return closed_port()


@contextmanager
def demo(port: int, folder: Path) -> Iterator[str]:
    """A relay at this port, until it is killed; its URL."""
    endpoint = f"tcp:{port}:interface=127.0.0.1"
    command = [endpoint if word == LOOPBACK else word for word in relay_command("--demo")]
    with running(command, folder) as process:
        yield address_of(process)
        process.kill()


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that may lose its connections."""
    if lack := lacking():
        pytest.skip(lack)
    name = request.node.name.removeprefix("test_")
    with chromium.page(name, told=(chromium.REFUSED, *FAILED)) as made:
        yield made


def becomes(page: Page, state: str) -> None:
    page.wait_for_function("(state) => states.at(-1) === state", arg=state)


def test_a_killed_relay_is_found_again_with_another_secret(
    page: Page, port: int, tmp_path: Path
) -> None:
    with demo(port, tmp_path) as url:
        page.goto(f"{url}/")
        page.evaluate(CONNECT, "renewed")
        becomes(page, "open")
    becomes(page, "reconnecting")
    # It has another signing key, so that only another secret is good.
    with demo(port, tmp_path):
        becomes(page, "open")
        first, *_, last = page.evaluate("secrets")
        assert first != last


def test_a_secret_that_is_not_renewed_is_refused_by_another_relay(
    page: Page, port: int, tmp_path: Path
) -> None:
    with demo(port, tmp_path) as url:
        page.goto(f"{url}/")
        page.evaluate(CONNECT, "kept")
        becomes(page, "open")
    with demo(port, tmp_path):
        becomes(page, "refused")


def test_without_a_network_it_waits_for_it(page: Page, port: int, tmp_path: Path) -> None:
    with demo(port, tmp_path) as url:
        assert urlsplit(url).port == port
        page.goto(f"{url}/")
        page.evaluate(CONNECT, "renewed")
        becomes(page, "open")
        page.context.set_offline(True)
    becomes(page, "offline")
    with demo(port, tmp_path):
        asked = page.evaluate("secrets.length")
        page.context.set_offline(False)
        becomes(page, "open")
        assert page.evaluate("secrets.length") == asked + 1
