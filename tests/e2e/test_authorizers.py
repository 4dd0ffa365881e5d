"""The official SDK with an issuer's token, and with a service of the operator's own."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from pathlib import Path

import jwt
import pytest
from openai import AsyncOpenAI
from processes import address_of, relay_command, running
from websockets.exceptions import InvalidStatus

ACCESS = Path(__file__).parents[2] / "docs" / "access.md"


async def _first_event(url: str, key: str) -> str:
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        return str((await connection.recv()).type)


def outcome(url: str, key: str) -> str | int:
    """The first event, or the status of the refusal."""
    try:
        return asyncio.run(_first_event(url, key))
    except InvalidStatus as refused:
        return refused.response.status_code


def test_an_issuers_token_is_an_api_key(tmp_path: Path) -> None:
    secret = "s" * 64
    (tmp_path / "secret").write_text(secret)
    config = tmp_path / "relay.toml"
    config.write_text(f"""
[[auth.jwt]]
issuer = "https://login.example/"
audience = "relay"
algorithms = ["HS256"]
key_file = "{tmp_path}/secret"
""")
    claims = {"iss": "https://login.example/", "aud": "relay", "sub": "ann"}
    good = jwt.encode({**claims, "exp": time.time() + 60}, secret, "HS256")
    late = jwt.encode({**claims, "exp": time.time() - 60}, secret, "HS256")
    with running(relay_command("--demo", "--config", str(config)), tmp_path) as relay:
        url = address_of(relay)
        assert outcome(url, good) == "session.created"
        assert outcome(url, late) == 401
        assert outcome(url, "sk-of-openai") == 401


def test_the_service_of_the_docs_decides(tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", ACCESS.read_text("utf-8"), re.DOTALL)
    (snippet,) = [each for each in snippets if "BaseHTTPRequestHandler" in each]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "may_talk.py").write_text(snippet.replace("8000", str(port)))
    config = tmp_path / "relay.toml"
    config.write_text(f'[auth.callback]\nurl = "http://127.0.0.1:{port}/"\n')
    service = [sys.executable, str(tmp_path / "may_talk.py")]
    command = relay_command("--demo", "--config", str(config))
    with running(service, tmp_path), running(command, tmp_path) as relay:
        url = address_of(relay)
        _until_it_listens(port)
        assert outcome(url, "secret-of-ann") == "session.created"
        assert outcome(url, "secret-of-nobody") == 401


def _until_it_listens(port: int) -> None:
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    pytest.fail("the service does not listen")
