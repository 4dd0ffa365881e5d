"""Who connects while the relay is busy waits in the kernel's queue, and is not turned away."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from integration.loopback import REACTOR
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol

from relay import Settings, Upstream
from relay.config.plan import Plan
from relay.daemon.listening import make_room
from relay.daemon.service import RelayService

BURST = 300
"""More than Twisted's 50, less than anybody's limit of descriptors."""

ESTABLISHED = 1
"""The state of a connection in Linux's C{tcp_info}, which begins with it."""


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Closed behind the test."""
    with ExitStack() as stack:
        yield stack


def _is_established(client: socket.socket) -> bool:
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED


def connected(stack: ExitStack, address: Any) -> int:
    """How many of a burst are connected though the reactor never turns meanwhile."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    clients = [stack.enter_context(socket.socket(family)) for _ in range(BURST)]
    for client in clients:
        client.setblocking(False)
    answers = [client.connect_ex(address) for client in clients]
    if family == socket.AF_UNIX:
        return answers.count(0)
    return sum(map(_is_established, clients))


@pytest_twisted.async_yield_fixture
async def services() -> AsyncIterator[list[RelayService]]:
    """Stopped behind the test."""
    services: list[RelayService] = []
    yield services
    for service in services:
        await service.stopService()


def start(services: list[RelayService], **listening: Any) -> list[Any]:
    """Start a relay that listens so; its ports, the admin listener's last."""
    plan = Plan(Settings(**listening), (Upstream("ws://127.0.0.1:1"),))
    service = RelayService(plan, reactor=REACTOR)
    services.append(service)
    service.privilegedStartService()
    return service._listeners._ports


@pytest_twisted.ensureDeferred
async def test_a_burst_finds_room_on_both_listeners(
    services: list[RelayService], sockets: ExitStack
) -> None:
    endpoint = "tcp:0:interface=127.0.0.1"
    ports = start(services, listen=(endpoint,), admin=endpoint)
    assert len(ports) == 2
    for port in ports:
        assert connected(sockets, ("127.0.0.1", port.getHost().port)) == BURST


@pytest_twisted.ensureDeferred
async def test_a_burst_finds_room_on_a_unix_socket(
    services: list[RelayService], sockets: ExitStack, tmp_path: Path
) -> None:
    path = str(tmp_path / "relay.sock")
    start(services, listen=(f"unix:{path}",), admin="")
    assert connected(sockets, path) == BURST


@pytest_twisted.ensureDeferred
async def test_an_endpoint_may_set_its_backlog(
    services: list[RelayService], sockets: ExitStack
) -> None:
    (port,) = start(services, listen=("tcp:0:interface=127.0.0.1:backlog=20",), admin="")
    assert 20 <= connected(sockets, ("127.0.0.1", port.getHost().port)) <= 21


@pytest_twisted.ensureDeferred
async def test_an_adopted_socket_keeps_its_backlog(sockets: ExitStack) -> None:
    endpoint = serverFromString(REACTOR, "tcp:0:interface=127.0.0.1:backlog=20")
    port: Any = await endpoint.listen(Factory.forProtocol(Protocol))
    make_room(port, "systemd:domain=INET:name=relay")
    assert 20 <= connected(sockets, ("127.0.0.1", port.getHost().port)) <= 21
    await port.stopListening()
