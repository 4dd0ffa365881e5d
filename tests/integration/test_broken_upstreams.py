"""However an upstream is broken: one whole refusal, the right one, and nothing is left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import pytest_twisted
from integration.broken import Broken, check_by_http, check_in_band, one_of_each
from integration.broken_answers import BROKEN_ANSWERS
from integration.broken_connections import BROKEN_CONNECTIONS, NO_NAME, REFUSED_PORT
from integration.broken_openings import BROKEN_OPENINGS
from integration.canary import CANARY
from integration.logged import BREAKS, Logged
from integration.loopback import Loopback
from integration.upstreams import UpstreamPort

BROKEN = [*BROKEN_CONNECTIONS, *BROKEN_ANSWERS, *BROKEN_OPENINGS]


def _prepare(loopback: Loopback, case: Broken, logged: Logged) -> tuple[UpstreamPort, str]:
    port = UpstreamPort(*case.does, cue=case.cue)
    if case.logs is not None:
        logged.expected.add(case.logs)
    if case.breaks:
        logged.expected.add(BREAKS)
    return port, f"ws://127.0.0.1:{loopback.listen(port)}/v1/realtime"


def _assert_left(port: UpstreamPort, case: Broken) -> None:
    """One connection an attempt came (no redirect was followed), with the key, and is gone."""
    assert len(port.peers) == case.attempts
    for peer in port.peers:
        assert peer.lost is not None
        if port.cue == "request":
            assert peer.header("authorization") == f"Bearer {CANARY}"


@pytest.mark.parametrize("case", BROKEN, ids=str)
@pytest_twisted.ensureDeferred
async def test_a_broken_upstream_gives_its_refusal_by_status(
    loopback: Loopback, logged: Logged, case: Broken
) -> None:
    port, url = _prepare(loopback, case, logged)
    await check_by_http(loopback, case, port, loopback.relay(url))
    _assert_left(port, case)


@pytest.mark.parametrize("case", one_of_each(BROKEN), ids=str)
@pytest_twisted.ensureDeferred
async def test_a_broken_upstream_gives_its_refusal_in_band(
    loopback: Loopback, logged: Logged, case: Broken
) -> None:
    port, url = _prepare(loopback, case, logged)
    await check_in_band(loopback, case, port, loopback.relay(url))
    _assert_left(port, case)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name can be resolved, and none is asked of the network."""

    def fail(*args: Any, **options: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr("relay.dial.resolver.socket.getaddrinfo", fail)


@pytest.mark.parametrize("check", [check_by_http, check_in_band])
@pytest_twisted.ensureDeferred
async def test_an_upstream_with_a_closed_port_is_a_failed_connect(
    loopback: Loopback, closed_port: int, check: Any
) -> None:
    relay = loopback.relay(f"ws://127.0.0.1:{closed_port}")
    await check(loopback, REFUSED_PORT, UpstreamPort(), relay)


@pytest.mark.parametrize("check", [check_by_http, check_in_band])
@pytest.mark.usefixtures("no_names")
@pytest_twisted.ensureDeferred
async def test_an_upstream_without_an_address_is_a_failed_look_up(
    loopback: Loopback, check: Any
) -> None:
    relay = loopback.relay("wss://upstream.invalid")
    await check(loopback, NO_NAME, UpstreamPort(), relay)
