"""Upstreams behind a proxy: what is asked of it, and what becomes of each of its failures."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import pytest_twisted
import trustme
from integration.answers import WebSocketClient
from integration.broken import Broken, check_by_http, check_in_band, one_of_each
from integration.broken_tls import UNTRUSTED, Certified, good, of_another_name
from integration.canary import CANARY
from integration.loopback import Loopback, Relay
from integration.proxies import BROKEN_PROXIES, NO_NAME, REFUSED, ProxyPort
from integration.upstreams import CREATED, UpstreamPort, answers, head, sends, switches

from relay import Proxy


def behind(loopback: Loopback, port: int, url: str, **options: Any) -> Relay:
    """A relay to that upstream by the proxy at that port, whose password is the canary."""
    proxy = Proxy("127.0.0.1", port, f"user:{CANARY}")
    return loopback.relay(url, **{"proxy": proxy, "credential": "key-of-upstream", **options})


@pytest.mark.parametrize("case", BROKEN_PROXIES, ids=str)
@pytest_twisted.ensureDeferred
async def test_a_broken_proxy_gives_its_refusal_by_status(loopback: Loopback, case: Broken) -> None:
    proxy = UpstreamPort(*case.does, cue=case.cue)
    relay = behind(loopback, loopback.listen(proxy), "wss://realtime.example/v1/realtime")
    await check_by_http(loopback, case, proxy, relay)
    (peer,) = proxy.peers
    assert peer.lost is not None
    asked, _, more = peer.received.partition(b"\r\n\r\n")
    assert more == b"", "only the proxy's answer lets the rest out"
    assert asked.startswith(b"CONNECT realtime.example:443 HTTP/1.1\r\n") or not asked
    assert b"key-of-upstream" not in asked


@pytest.mark.parametrize("case", one_of_each(BROKEN_PROXIES), ids=str)
@pytest_twisted.ensureDeferred
async def test_a_broken_proxy_gives_its_refusal_in_band(loopback: Loopback, case: Broken) -> None:
    proxy = UpstreamPort(*case.does, cue=case.cue)
    relay = behind(loopback, loopback.listen(proxy), "ws://realtime.example/v1/realtime")
    await check_in_band(loopback, case, proxy, relay)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest_twisted.ensureDeferred
async def test_a_proxy_that_refuses_the_port_is_named_in_the_refusal(
    loopback: Loopback, closed_port: int
) -> None:
    relay = behind(loopback, closed_port, "wss://realtime.example")
    await check_by_http(loopback, REFUSED, UpstreamPort(), relay)


@pytest_twisted.ensureDeferred
async def test_a_proxy_without_an_address_is_named_in_the_refusal(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr("relay.dial.resolver.socket.getaddrinfo", fail)
    relay = loopback.relay("wss://127.0.0.1", proxy=Proxy("proxy.invalid"))
    await check_by_http(loopback, NO_NAME, UpstreamPort(), relay)


@pytest_twisted.ensureDeferred
async def test_bytes_that_come_with_the_proxys_answer_are_upstreams(loopback: Loopback) -> None:
    proxy = UpstreamPort(sends(head(200) + head(500, "Content-Length: 0")))
    case = Broken("500", (), "upstream_refused", 502, True, seen=500)
    relay = behind(loopback, loopback.listen(proxy), "ws://realtime.example")
    await check_by_http(loopback, case, proxy, relay)


# -- through a good one --------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_session_opens_through_a_proxy(
    loopback: Loopback, authority: trustme.CA, ca_file: str
) -> None:
    proxy, port = ProxyPort(), UpstreamPort(switches(CREATED))
    address = f"127.0.0.1:{loopback.listen(port, Certified(good(authority)))}"
    relay = behind(loopback, loopback.listen(proxy), f"wss://{address}", ca_file=ca_file)
    client = WebSocketClient()
    await loopback.connect(relay, client)
    (event,) = await client.hears(1)
    assert b"session.created" in event.data
    client.leave()
    await loopback.settled(relay, lingering=True)
    (attempt,) = relay.heard.openings[0].attempts
    assert list(attempt.stages) == ["proxy", "tls", "upgrade", "first_event"]
    assert [close.plane for close in relay.heard.ends] == ["splice"]
    assert proxy.peers[0].request.startswith(f"CONNECT {address} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic" in proxy.peers[0].request
    assert b"roxy" not in port.peers[0].received
    assert port.peers[0].header("authorization") == "Bearer key-of-upstream"


@pytest_twisted.ensureDeferred
async def test_through_a_proxy_the_certificate_must_be_upstreams(
    loopback: Loopback, authority: trustme.CA, ca_file: str
) -> None:
    proxy, port = ProxyPort(), UpstreamPort(*UNTRUSTED.does)
    at = loopback.listen(port, Certified(of_another_name(authority)))
    relay = behind(loopback, loopback.listen(proxy), f"wss://127.0.0.1:{at}", ca_file=ca_file)
    await check_by_http(loopback, UNTRUSTED, port, relay)
    assert not any(peer.received for peer in port.peers), "the request, key included, was sent"


@pytest_twisted.ensureDeferred
async def test_an_upstreams_refusal_comes_through_a_proxy(loopback: Loopback) -> None:
    port = UpstreamPort(answers(401))
    case = Broken("401", (), "upstream_unauthorized", 502, False, seen=401)
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = behind(loopback, loopback.listen(ProxyPort()), url)
    await check_by_http(loopback, case, port, relay)


@pytest_twisted.ensureDeferred
async def test_an_upstream_that_refuses_the_port_is_the_proxys_502(
    loopback: Loopback, closed_port: int
) -> None:
    case = next(case for case in BROKEN_PROXIES if case.name == "502")
    relay = behind(loopback, loopback.listen(ProxyPort()), f"ws://127.0.0.1:{closed_port}")
    await check_by_http(loopback, case, UpstreamPort(), relay)
