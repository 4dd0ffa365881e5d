"""A credential says what one header says, and nothing else, wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from integration.answers import WebSocketClient, parse_answer
from integration.logged import Logged
from integration.loopback import Loopback
from integration.requests import upgrade
from integration.upstreams import CREATED, UpstreamPort, switches
from twisted.internet.defer import succeed

from relay import RelayError
from relay.config.keys import KeyFile, upstream_key
from relay.config.upstream_table import UpstreamTable

KEYS = ["sk-1\r\nInjected: yes", "sk-1\nInjected: yes", "sk-1\rInjected: yes", "sk-1\x00", ""]

NAMED = UpstreamTable(url="ws://127.0.0.1:1/", key_env="KEY")


def _string(key: str, _: Path) -> Any:
    return key


def _file(key: str, path: Path) -> Any:
    path.write_bytes(key.encode())
    return KeyFile(path, "key_file")


def _environment(key: str, _: Path) -> Any:
    return upstream_key(NAMED, {"KEY": key})


@pytest.mark.parametrize("source", [_string, _file, _environment])
@pytest.mark.parametrize("key", KEYS)
def test_no_key_that_is_read_at_the_start_can_add_a_header(
    loopback: Loopback, tmp_path: Path, key: str, source: Callable[[str, Path], Any]
) -> None:
    with pytest.raises(RelayError) as caught:
        loopback.relay("ws://127.0.0.1:1/", credential=source(key, tmp_path / "key"))
    assert "sk-1" not in str(caught.value)


def _at_once(key: str) -> Any:
    return lambda: key


def _later(key: str) -> Any:
    return lambda: succeed(key)


def _coroutine(key: str) -> Any:
    async def credential() -> str:
        return key

    return credential


@pytest.mark.parametrize("source", [_at_once, _later, _coroutine])
@pytest.mark.parametrize("key", KEYS)
@pytest_twisted.ensureDeferred
async def test_no_key_that_a_callable_returns_can_add_a_header(
    loopback: Loopback, logged: Logged, key: str, source: Callable[[str], Any]
) -> None:
    logged.expected.add("credential callback of openai failed")
    port = UpstreamPort(switches(CREATED))
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, credential=source(key))
    client = await loopback.connect(relay)
    client.send(upgrade())
    assert parse_answer(await client.closed()).error["code"] == "authorizer_unavailable"
    assert port.peers == []
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_no_key_of_a_changed_file_can_add_a_header(
    loopback: Loopback, logged: Logged, tmp_path: Path
) -> None:
    logged.expected.add("key_file: ")
    port, path = UpstreamPort(switches(CREATED)), tmp_path / "key"
    credential = _file("sk-first", path)
    path.write_bytes(KEYS[0].encode())
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", credential=credential)
    client = WebSocketClient()
    await loopback.connect(relay, client)
    await client.hears(1)
    (peer,) = port.peers
    assert peer.header("authorization") == "Bearer sk-first"
    assert b"Injected" not in peer.received
    client.leave()
    await loopback.settled(relay, lingering=True)
