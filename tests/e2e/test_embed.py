"""The example of the docs: a relay beside another service in one reactor."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from openai import AsyncOpenAI
from processes import address_of, closed_port, relay_command, running
from websockets.exceptions import InvalidStatus

EXAMPLE = Path(__file__).parents[2] / "examples" / "embed.py"


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The example's own port and the echo service's; its upstream is a demo relay."""
    folder = tmp_path_factory.mktemp("embed")
    with running(relay_command("--demo"), folder) as upstream:
        url = address_of(upstream).replace("http", "ws") + "/v1/realtime"
        with running([sys.executable, str(EXAMPLE), "0", "0"], folder, UPSTREAM=url) as app:
            assert app.stdout is not None
            yield int(app.stdout.readline()), int(app.stdout.readline())


def test_the_example_fits_on_a_page() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 40


async def first_event(port: int, key: str) -> str:
    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        return (await connection.recv()).type


def test_its_users_have_sessions_and_others_have_not(ports: tuple[int, int]) -> None:
    assert asyncio.run(first_event(ports[0], "let-me-in")) == "session.created"
    with pytest.raises(InvalidStatus) as caught:
        asyncio.run(first_event(ports[0], "wrong"))
    assert caught.value.response.status_code == 401


def test_its_site_answers_on_the_same_port(ports: tuple[int, int]) -> None:
    with urlopen(f"http://127.0.0.1:{ports[0]}/", timeout=10) as answer:
        assert answer.read() == b"The app's own page.\n"
        assert answer.headers["Connection"] == "close"


def test_the_service_beside_it_runs(ports: tuple[int, int]) -> None:
    with socket.create_connection(("127.0.0.1", ports[1]), timeout=10) as echo:
        echo.sendall(b"hello")
        assert echo.recv(5) == b"hello"


def test_an_embedded_relay_refuses_like_any_other(tmp_path: Path) -> None:
    dead = f"ws://127.0.0.1:{closed_port()}/"
    with running([sys.executable, str(EXAMPLE), "0", "0"], tmp_path, UPSTREAM=dead) as app:
        assert app.stdout is not None
        with pytest.raises(InvalidStatus) as caught:
            asyncio.run(first_event(int(app.stdout.readline()), "let-me-in"))
    assert caught.value.response.status_code == 502
