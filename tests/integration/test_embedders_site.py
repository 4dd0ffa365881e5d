"""An embedder's own site on the relay's port: its pages, its WebSockets, and the relay's health."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from integration.answers import WebSocketClient, parse_answer
from integration.loopback import Loopback, Relay, until
from integration.requests import request, upgrade
from integration.upstreams import CREATED, UpstreamPort, switches
from twisted.web.resource import Resource
from twisted.web.server import Site

from relay import Settings

NOWHERE = "ws://127.0.0.1:1/"


class Told(Resource):
    """A page of the host's."""

    isLeaf = True

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def render(self, request: object) -> bytes:
        """The text."""
        return self._text


class Echo(WebSocketServerProtocol):
    """An embedder's WebSocket, by Autobahn."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back."""
        self.sendMessage(payload, isBinary)


def host_site(loopback: Loopback) -> Site:
    """A page, a health page of the host's own, and a WebSocket."""
    root = Resource()
    root.putChild(b"page", Told(b"the host's page"))
    root.putChild(b"healthz", Told(b"the host's health"))
    factory = WebSocketServerFactory(reactor=loopback.clock)
    factory.protocol = Echo
    root.putChild(b"echo", WebSocketResource(factory))
    return Site(root, reactor=loopback.clock)


async def fetched(loopback: Loopback, relay: Relay, path: str, *fields: str) -> bytes:
    client = await loopback.connect(relay)
    client.send(request(f"GET {path} HTTP/1.1", "Host: localhost", *fields))
    return await client.closed()


async def connected(loopback: Loopback, relay: Relay, target: str) -> WebSocketClient:
    client = WebSocketClient(target=target)
    await loopback.connect(relay, client)
    await client.open()
    return client


async def echo_of(client: WebSocketClient, text: bytes) -> bytes:
    client.protocol.send_text(text)
    client.send(b"".join(client.protocol.data_to_send()))
    (echo,) = await client.hears(1)
    return bytes(echo.data)


@pytest.mark.parametrize("base", ["", "/below"])
@pytest_twisted.ensureDeferred
async def test_the_relays_health_answers_beside_the_hosts_pages(
    loopback: Loopback, base: str
) -> None:
    settings = Settings(base_path=base)
    relay = loopback.relay(NOWHERE, site=host_site(loopback), settings=settings)
    assert (await fetched(loopback, relay, f"{base}/healthz")).endswith(b"\r\n\r\nalive\n")
    assert (await fetched(loopback, relay, f"{base}/readyz")).endswith(b"\r\n\r\nready\n")
    assert (await fetched(loopback, relay, "/page")).endswith(b"the host's page")
    if base:
        assert (await fetched(loopback, relay, "/healthz")).endswith(b"the host's health")
    relay.drain()
    answer = await fetched(loopback, relay, f"{base}/readyz")
    assert answer.startswith(b"HTTP/1.1 503 ")
    relay.abort()
    loopback.clock.advance(1)
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_the_hosts_own_health_answers_if_the_host_says_so(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE, site=host_site(loopback), probes=False)
    assert (await fetched(loopback, relay, "/healthz")).endswith(b"the host's health")
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_the_relays_health_keeps_the_relays_rules(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE, site=host_site(loopback))
    elsewhere = "Origin: https://evil.example"
    assert b"origin_not_allowed" in await fetched(loopback, relay, "/healthz", elsewhere)
    assert (await fetched(loopback, relay, "/page", elsewhere)).endswith(b"the host's page")
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_the_hosts_websocket_is_reached_beside_the_relays(loopback: Loopback) -> None:
    port = UpstreamPort(switches(CREATED))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", site=host_site(loopback))
    own = await connected(loopback, relay, "/echo?its=own")
    assert await echo_of(own, b"hello") == b"hello"
    assert port.peers == []
    session = WebSocketClient()
    await loopback.connect(relay, session)
    await session.hears(1)
    assert relay.active_sessions == 1
    for client in (own, session):
        client.leave()
    await loopback.settled(relay, lingering=True)


@pytest_twisted.ensureDeferred
async def test_bytes_after_the_hosts_upgrade_are_not_lost(loopback: Loopback) -> None:
    seen: list[bytes] = []

    class Watched(Site):
        def buildProtocol(self, addr: Any) -> Any:
            channel = super().buildProtocol(addr)
            channel.dataReceived = seen.append
            return channel

    relay = loopback.relay(NOWHERE, site=Watched(Resource(), reactor=loopback.clock))
    client = await loopback.connect(relay)
    head = upgrade("X-A: b", line="GET /own HTTP/1.1")
    client.send(head + b"early")
    await until(lambda: b"early" in b"".join(seen), "what came behind the head")
    client.send(b"later")
    await until(lambda: b"later" in b"".join(seen), "what comes later")
    passed, _, rest = b"".join(seen).partition(b"\r\n\r\n")
    expected = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert passed.lower().split(b"\r\n") == [line.lower() for line in expected]
    assert rest == b"earlylater"
    client.die()
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_a_drain_neither_waits_for_the_hosts_websocket_nor_cuts_it(
    loopback: Loopback,
) -> None:
    settings = Settings(drain_seconds=0)
    relay = loopback.relay(NOWHERE, site=host_site(loopback), settings=settings)
    own = await connected(loopback, relay, "/echo")
    drained: list[object] = []
    relay.drain().addCallback(drained.append)
    loopback.clock.advance(0)
    await until(lambda: drained, "the end of the drain")
    assert await echo_of(own, b"still here") == b"still here"
    own.leave()
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_without_a_site_another_upgrade_is_not_found(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE)
    client = await loopback.connect(relay)
    client.send(upgrade(line="GET /echo HTTP/1.1"))
    assert parse_answer(await client.closed()).error["code"] == "not_found"
    await loopback.settled(relay)
