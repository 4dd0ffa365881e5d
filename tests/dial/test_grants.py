"""What a grant does to the dial, in memory: where it goes, and with which key and headers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory import World
from twisted.logger import Logger

from relay import Grant, Upstream
from relay.testing.peers import Peer
from relay.upstreams.breaker import FAILURES

OWN = "sk-of-the-tenant-0123456789"
RELAYS = "sk-of-the-relay-0123456789"


def granting(*upstreams: Upstream, **fields: Any) -> World:
    grant = Grant("ann", **fields)
    return World(upstreams=list(upstreams), options={"admit": lambda request: grant})


def upstream(name: str, port: int, **more: Any) -> Upstream:
    more.setdefault("credential", RELAYS)
    return Upstream(f"ws://127.0.0.1:{port}/v1/realtime", name, priority=port, **more)


A, B = upstream("a", 1), upstream("b", 2)


def code_of(downstream: Peer) -> str:
    answer = downstream.line.take().partition(b"\r\n\r\n")[2]
    return str(json.loads(answer)["error"]["code"])


def refuses(world: World, status: int = 401) -> None:
    world.connected().deliver(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())


def test_only_the_granted_upstream_is_tried() -> None:
    world = granting(A, B, upstream="b")
    downstream = world.downstream()
    refuses(world, 500)
    assert [port for _, port, *_ in world.reactor.tcpClients] == [2]
    assert code_of(downstream) == "upstream_refused"


def test_the_granted_upstream_is_not_tried_for_a_model_that_it_lacks() -> None:
    world = granting(A, upstream("b", 2, models={"x": "x"}), upstream="b")
    assert code_of(world.downstream()) == "model_not_allowed"
    assert world.reactor.tcpClients == []


def test_a_grant_for_an_upstream_that_is_not_there_is_the_relays_own_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[Any] = []
    monkeypatch.setattr(Logger, "failure", lambda self, *args, **more: logged.append(args[1]))
    world = granting(A, upstream="nowhere")
    assert code_of(world.downstream()) == "internal_error"
    assert "the upstream nowhere, and there is none" in str(logged[0].value)


def test_a_model_that_is_not_granted_is_refused_before_the_dial() -> None:
    world = granting(A, models=["other"])
    assert code_of(world.downstream()) == "model_not_allowed"
    assert world.reactor.tcpClients == []
    (record,) = world.listener.holds
    assert (record.subject, record.outcome) == ("ann", "model_not_allowed")


def test_the_grants_own_key_replaces_the_upstreams() -> None:
    world = granting(A, credential=OWN)
    world.downstream()
    head = world.connected().take().decode()
    assert f"Authorization: Bearer {OWN}\r\n" in head
    assert RELAYS not in head


def test_the_callback_of_the_upstream_is_not_asked_for_a_key_of_the_grants() -> None:
    asked: list[None] = []

    def key() -> str:
        asked.append(None)
        return RELAYS

    world = granting(upstream("a", 1, credential=key), credential=OWN)
    world.downstream()
    assert OWN in world.connected().take().decode()
    assert asked == []


def test_the_grants_own_key_does_not_show_in_the_upstreams_words() -> None:
    world = granting(A, credential=OWN)
    world.downstream()
    body = json.dumps({"error": {"code": "invalid_api_key", "message": f"no key {OWN}"}})
    head = f"HTTP/1.1 401 X\r\nContent-Length: {len(body)}\r\n\r\n"
    world.connected().deliver(f"{head}{body}".encode())
    (record,) = world.listener.holds
    assert record.attempts[0].said == "invalid_api_key: no key [redacted]"


@pytest.mark.parametrize("status", [401, 429])
def test_a_tenants_own_bad_key_keeps_nobody_else_out(status: int) -> None:
    world = granting(A, credential=OWN)
    body = b'{"error":{"code":"insufficient_quota"}}'
    for _ in range(FAILURES + 1):
        world.downstream()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        world.connected().deliver(head + body)
    assert world.factory.standings[0].breaker_state == "closed"


def test_the_relays_own_bad_key_still_opens_the_breaker() -> None:
    world = granting(A)
    world.downstream()
    refuses(world)
    assert world.factory.standings[0].breaker_state == "open"


def test_an_upstream_that_fails_for_a_tenant_fails_for_all() -> None:
    world = granting(A, credential=OWN)
    for _ in range(FAILURES):
        world.downstream()
        refuses(world, 500)
    assert world.factory.standings[0].breaker_state == "open"


def test_a_tenants_own_key_never_crosses_a_network_in_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(Logger, "error", lambda self, line, **more: logged.append(line))
    away = Upstream("ws://models.example/v1/realtime", "a")
    world = granting(away, credential=OWN)
    assert code_of(world.downstream()) == "internal_error"
    assert world.reactor.tcpClients == []
    assert "in clear" in logged[0]


def test_headers_of_the_grant_go_upstream_before_the_clients_own() -> None:
    world = granting(A, headers={"openai-safety-identifier": "user-7", "X-Tenant": "shop"})
    peer = Peer(world.accept(), None)
    lines = ["GET /v1/realtime?model=m HTTP/1.1", "Host: localhost", "Upgrade: websocket"]
    lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "OpenAI-Safety-Identifier: forged"]
    peer.line.deliver(("\r\n".join(lines) + "\r\n\r\n").encode())
    head = world.connected().take().decode()
    assert "Openai-Safety-Identifier: user-7\r\n" in head
    assert "X-Tenant: shop\r\n" in head
    assert "forged" not in head
