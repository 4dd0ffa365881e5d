"""The example of the docs: a relay by TLS in an app, beside another service in one reactor."""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from urllib.request import urlopen

import pytest
import trustme
from attrs import frozen
from openai import AsyncOpenAI
from processes import LOOPBACK, address_of, closed_port, relay_command, running
from websockets.exceptions import InvalidStatus

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed.py"


@frozen
class App:
    """
    The example, which runs.

    @ivar url: of the relay.
    @ivar metrics: of the page beside it.
    @ivar tls: what trusts its certificate.
    @ivar log: its log.
    """

    url: str
    metrics: str
    tls: ssl.SSLContext
    log: Path


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The example by TLS; its upstream is a demo relay."""
    folder, authority = tmp_path_factory.mktemp("embed"), trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "own.pem")
    )
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    endpoint = "ssl:0:privateKey=own.pem:certKey=own.pem:interface=127.0.0.1"
    with running(relay_command("--demo"), folder) as upstream:
        url = address_of(upstream).replace("http", "ws") + "/v1/realtime"
        logged = ["sh", "-c", 'exec "$@" 2>log', "sh"]
        command = [*logged, sys.executable, str(EXAMPLE), endpoint, "0"]
        with running(command, folder, UPSTREAM=url) as process:
            assert process.stdout is not None
            port, metrics = (int(process.stdout.readline()) for _ in range(2))
            there = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{metrics}"
            yield App(*there, tls, folder / "log")


def test_the_example_fits_on_a_page() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 70


async def first_event(url: str, key: str, tls: ssl.SSLContext | None = None) -> str:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key)
    options = {} if tls is None else {"ssl": tls}
    realtime = client.realtime.connect(
        model="gpt-realtime",
        websocket_connection_options=options,  # type: ignore[arg-type]
    )
    async with realtime as connection:
        return (await connection.recv()).type


def metrics_with(app: App, line: str) -> str:
    """The metrics, once there is this line: a session is counted when both its ends are gone."""
    for _ in range(100):
        with urlopen(app.metrics, timeout=10) as answer:
            told: str = answer.read().decode()
        if line in told:
            return told
        sleep(0.05)
    raise AssertionError(told)


def test_users_of_the_example_have_counted_sessions_and_others_have_none(app: App) -> None:
    assert asyncio.run(first_event(app.url, "let-me-in", app.tls)) == "session.created"
    with pytest.raises(InvalidStatus) as caught:
        asyncio.run(first_event(app.url, "wrong", app.tls))
    assert caught.value.response.status_code == 401
    told = metrics_with(app, 'app_calls_total{user="alice"} 1.0')
    assert 'app_call_seconds_total{user="alice"}' in told
    assert 'relay_refusals_total{code="unauthorized"} 1.0' in told
    assert re.search(r"\[app#info\] alice was connected for \d+\.\d s", app.log.read_text())


def test_the_examples_site_answers_on_the_same_port(app: App) -> None:
    with urlopen(app.url, timeout=10, context=app.tls) as answer:
        assert answer.read() == b"The app's own page.\n"
        assert answer.headers["Connection"] == "close"


def test_the_relays_health_is_on_the_examples_port(app: App) -> None:
    with urlopen(f"{app.url}/readyz", timeout=10, context=app.tls) as answer:
        assert answer.read() == b"ready\n"


def test_an_embedded_relay_refuses_like_any_other(tmp_path: Path) -> None:
    dead = f"ws://127.0.0.1:{closed_port()}/"
    command = [sys.executable, str(EXAMPLE), LOOPBACK, "0"]
    with running(command, tmp_path, UPSTREAM=dead) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        with pytest.raises(InvalidStatus) as caught:
            asyncio.run(first_event(url, "let-me-in"))
    assert caught.value.response.status_code == 502
