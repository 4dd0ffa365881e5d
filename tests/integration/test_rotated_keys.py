"""A key file that changes under a running relay."""

from __future__ import annotations

from pathlib import Path

import pytest_twisted
from integration.answers import WebSocketClient, parse_answer
from integration.canary import CANARY
from integration.logged import Logged
from integration.loopback import Loopback, Relay
from integration.requests import upgrade
from integration.upstreams import CREATED, UpstreamPort, answers, error, switches

from relay.config.keys import KeyFile


def _write(path: Path, text: str) -> None:
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.replace(path)


async def _open(loopback: Loopback, relay: Relay) -> WebSocketClient:
    client = WebSocketClient()
    await loopback.connect(relay, client)
    await client.hears(1)
    return client


@pytest_twisted.ensureDeferred
async def test_the_next_session_has_the_new_key_and_the_open_one_stays(
    loopback: Loopback, logged: Logged, tmp_path: Path
) -> None:
    port, path = UpstreamPort(switches(CREATED)), tmp_path / "key"
    path.write_text("the-first-key")
    credential = KeyFile(path, "key_file")
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, credential=credential)
    clients = [await _open(loopback, relay)]
    _write(path, CANARY)
    clients.append(await _open(loopback, relay))
    path.unlink()
    logged.expected.add("key_file: cannot be read")
    clients += [await _open(loopback, relay), await _open(loopback, relay)]
    sent = [peer.header("authorization") for peer in port.peers]
    assert sent == ["Bearer the-first-key", *[f"Bearer {CANARY}"] * 3]
    assert [client.lost for client in clients] == [None] * 4
    for client in clients:
        client.leave()
    await loopback.settled(relay, lingering=True)


@pytest_twisted.ensureDeferred
async def test_no_refusal_quotes_the_new_key(loopback: Loopback, tmp_path: Path) -> None:
    port, path = UpstreamPort(answers(400, body=error("odd", f"saw {CANARY}"))), tmp_path / "key"
    path.write_text("the-first-key")
    credential = KeyFile(path, "key_file")
    _write(path, CANARY)
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", credential=credential)
    client = await loopback.connect(relay)
    client.send(upgrade())
    answer = parse_answer(await client.closed())
    assert "saw [redacted]" in answer.error["message"]
