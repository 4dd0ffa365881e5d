"""What the relay's own machine lacks is told as that, by the kernel's own errors."""

from __future__ import annotations

import resource
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_twisted
from integration.answers import Answer, parse_answer
from integration.loopback import REACTOR, Loopback, RawClient, Relay, until
from integration.requests import upgrade
from integration.upstreams import CREATED, UpstreamPort, switches

IP_LOCAL_PORT_RANGE = 51
"""Of Linux 6.3; not in Python's C{socket}."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def no_descriptors() -> Iterator[None]:
    """None can be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def one_local_port() -> Callable[..., Any]:
    """Connects from the same port always, which works once for each destination."""
    port = _free_port()

    def connect(*args: Any, **options: Any) -> Any:
        connector = REACTOR.connectTCP(*args, **options)
        only = struct.pack("HH", port, port)
        try:
            connector.transport.socket.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, only)
        except OSError:
            pytest.skip("this kernel cannot narrow the range of one socket")
        return connector

    return connect


def without_descriptors(*args: Any, **options: Any) -> Any:
    """Connects when there is no descriptor left."""
    with no_descriptors():
        return REACTOR.connectTCP(*args, **options)


async def _asked(loopback: Loopback, relay: Relay) -> RawClient:
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: client.received, "an answer")
    return client


def _assert_own(answer: Answer, relay: Relay, lacking: str) -> None:
    assert (answer.status, answer.error["code"]) == (503, "relay_full")
    assert answer.error["retryable"]
    assert answer.headers["retry-after"]
    record = relay.heard.holds[-1]
    assert [(a.outcome, a.error) for a in record.attempts] == [("relay_full", lacking)]
    (standing,) = relay.standings
    assert standing.breaker_state == "closed"


@pytest_twisted.ensureDeferred
async def test_without_a_local_port_the_refusal_names_it(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = loopback.listen(UpstreamPort(switches(CREATED)))
    relay = loopback.relay(f"ws://127.0.0.1:{port}")
    monkeypatch.setattr(loopback.clock, "connectTCP", one_local_port(), raising=False)
    first = await _asked(loopback, relay)
    assert first.received.startswith(b"HTTP/1.1 101 ")
    for _ in range(6):  # one more than would open a breaker
        client = await _asked(loopback, relay)
        _assert_own(parse_answer(await client.closed()), relay, "EADDRNOTAVAIL")
    first.die()
    await loopback.settled(relay, lingering=True)


@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_the_refusal_names_it(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = loopback.relay("ws://127.0.0.1:1")
    monkeypatch.setattr(loopback.clock, "connectTCP", without_descriptors, raising=False)
    for _ in range(6):
        client = await _asked(loopback, relay)
        _assert_own(parse_answer(await client.closed()), relay, "EMFILE")
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_without_a_descriptor_for_the_look_up_the_refusal_names_it(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = loopback.relay("ws://localhost:1")

    def begin(work: Callable[[], None]) -> None:
        with no_descriptors():
            work()

    monkeypatch.setattr(relay.context().holds.dialer._connector._resolver, "_begin", begin)
    client = await _asked(loopback, relay)
    _assert_own(parse_answer(await client.closed()), relay, "EMFILE")
    await loopback.settled(relay)
