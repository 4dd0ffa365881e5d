"""The keys of clients, and the secrets that they mint, show nowhere but where they must."""

from __future__ import annotations

import json
from collections.abc import Callable
from secrets import token_urlsafe

import pytest
import pytest_twisted
from integration.canary import CANARY, traces_in
from integration.logged import Logged
from integration.loopback import Loopback, RawClient, Relay, until
from integration.requests import request, upgrade
from integration.upstreams import CREATED, Step, UpstreamPort, answers, closes, error, switches
from memory import keyed

from relay.admission.ephemeral import FORM, Mint

KEY = f"rk_{token_urlsafe(32)}"
MINTS = "POST /v1/realtime/client_secrets HTTP/1.1"

Send = Callable[[str], bytes]

AS = {
    "a Bearer token": lambda secret: upgrade(f"Authorization: Bearer {secret}"),
    "a subprotocol": lambda secret: upgrade(
        f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{secret}"
    ),
    "Azure's header": lambda secret: upgrade(f"api-key: {secret}"),
    "Azure's query": lambda secret: upgrade(
        line=f"GET /openai/v1/realtime?model=m&api-key={secret} HTTP/1.1"
    ),
    "a wrong place": lambda secret: upgrade(
        line=f"GET /v1/realtime?model=m&key={secret}&token={secret} HTTP/1.1"
    ),
    "a wrong path": lambda secret: request(f"GET /v1/x?key={secret} HTTP/1.1", "Host: 127.0.0.1"),
    "two headers": lambda secret: upgrade(*[f"Authorization: Bearer {secret}"] * 2),
    "a bad head": lambda secret: upgrade(f"Authorization : Bearer {secret}"),
}

DOES: dict[str, Step] = {
    "opens": switches(CREATED, closes(1000)),
    "refuses": answers(401, body=error("invalid_api_key")),
}


async def _minted(loopback: Loopback, relay: Relay) -> str:
    client = await loopback.connect(relay)
    body = json.dumps({"session": {"type": "realtime", "instructions": KEY[20:]}})
    fields = ["Host: 127.0.0.1", f"Authorization: Bearer {KEY}", f"Content-Length: {len(body)}"]
    client.send(request(MINTS, *fields) + body.encode())
    answer = await client.closed()
    assert not traces_in(answer, KEY[:20])
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["value"])


@pytest.mark.parametrize("place", AS)
@pytest.mark.parametrize("does", DOES)
@pytest.mark.parametrize("good", [True, False])
@pytest_twisted.ensureDeferred
async def test_neither_key_nor_secret_goes_upstream_or_into_a_log(
    loopback: Loopback, logged: Logged, place: str, does: str, good: bool
) -> None:
    port = UpstreamPort(DOES[does])
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, admit=keyed(KEY), signing_keys=[b"k" * 32])
    secret = await _minted(loopback, relay)
    mint = Mint([b"l" * 32])
    wrong = FORM + mint._signs.encrypt(secret.encode()).decode().rstrip("=")
    sent = [KEY, secret] if good else [KEY.swapcase(), wrong]
    logged.secrets.update(sent)
    clients: list[RawClient] = []
    for each in sent:
        client = await loopback.connect(relay)
        clients.append(client)
        client.send(AS[place](each))
        await loopback.answered(client)
        client.leave()
    await until(lambda: all(client.lost for client in clients), "their ends")
    for client in clients:
        heard = client.received.replace(b"openai-insecure-api-key", b"")
        assert not traces_in(heard, *sent), heard
    for peer in port.peers:
        assert not traces_in(peer.received.replace(CANARY.encode(), b""), *sent), peer.received
    for record in relay.heard.holds:
        assert not traces_in(repr(record).encode(), *sent)
    await loopback.settled(relay, lingering=True)
