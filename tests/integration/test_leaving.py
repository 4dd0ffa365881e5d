"""A downstream that leaves the hold takes everything with it, however far the dial has come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_twisted
from integration.answers import WebSocketClient
from integration.canary import CANARY
from integration.loopback import Loopback, RawClient, Relay, until
from integration.proxies import ProxyPort
from integration.requests import upgrade
from integration.upstreams import (
    CREATED,
    Cue,
    Step,
    UpstreamPort,
    error_event,
    head,
    pings,
    sends,
    switches,
)
from twisted.internet.defer import Deferred

from relay import Grant, Proxy


@dataclass
class Pending:
    """
    Something that is asked for and never given.

    @ivar asked: the Deferreds handed out.
    @ivar cancelled: how many of them were cancelled.
    """

    asked: list[Deferred[Any]] = field(default_factory=list)
    cancelled: int = 0

    def __call__(self, *_: object) -> Deferred[Any]:
        """Hand one out."""
        self.asked.append(Deferred(self._cancel))
        return self.asked[-1]

    def _cancel(self, _: Deferred[Any]) -> None:
        self.cancelled += 1


async def _leaves_by_fin(client: RawClient) -> None:
    client.leave()


async def _leaves_by_reset(client: RawClient) -> None:
    client.die()


WAYS = [_leaves_by_fin, _leaves_by_reset]
Leave = Callable[[RawClient], Awaitable[None]]


async def _check_left(
    loopback: Loopback, relay: Relay, client: RawClient, leave: Leave, stages: list[str | None]
) -> None:
    """It is gone without a word: no answer, no hold, no deadline, no connection."""
    assert (relay.active_holds, relay.active_sessions) == (1, 0)
    await leave(client)
    await until(lambda: relay.heard.refusals, "the record")
    assert (relay.active_holds, relay.active_sessions) == (0, 0)
    await loopback.settled(relay)
    assert client.received == b""
    record = relay.heard.one_refusal()
    assert record.outcome == "left"
    assert [attempt.stage for attempt in record.attempts] == stages
    assert all(attempt.outcome == "cancelled" for attempt in record.attempts)


# -- before there is a connection ----------------------------------------------------------


@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_admission_is_pending_leaves_nothing(
    loopback: Loopback, leave: Leave
) -> None:
    admit = Pending()
    relay = loopback.relay("ws://127.0.0.1:1", admit=admit)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: admit.asked, "the authorizer")
    await _check_left(loopback, relay, client, leave, [])
    assert admit.cancelled == 1


@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_the_credential_is_pending_leaves_nothing(
    loopback: Loopback, leave: Leave
) -> None:
    credential = Pending()
    relay = loopback.relay("ws://127.0.0.1:1", credential=credential)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: credential.asked, "the callback")
    await _check_left(loopback, relay, client, leave, [None])
    assert credential.cancelled == 1
    assert loopback.clock.connecting == 0


@dataclass
class StuckNames:
    """A look-up that answers only when it is let."""

    asked: threading.Event = field(default_factory=threading.Event)
    let: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *_: object, **options: object) -> list[Any]:
        """Block."""
        self.asked.set()
        self.let.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def stuck_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[StuckNames]:
    """No name is resolved while the test runs."""
    names = StuckNames()
    monkeypatch.setattr("relay.dial.resolver.socket.getaddrinfo", names)
    yield names
    names.let.set()


@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_the_name_is_looked_up_leaves_nothing(
    loopback: Loopback, stuck_names: StuckNames, leave: Leave
) -> None:
    relay = loopback.relay("wss://upstream.invalid:1")
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(stuck_names.asked.is_set, "the look-up")
    await _check_left(loopback, relay, client, leave, ["dns"])
    stuck_names.let.set()
    # Another hold waits for the same answer; the one who left must not spoil it.
    await loopback.connect(relay)
    loopback.clients[-1].send(upgrade())
    await until(lambda: len(relay.heard.refusals) == 2, "the next hold")
    assert relay.heard.holds[1].outcome == "upstream_connect_failed"
    assert loopback.clock.connecting == 1


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose backlog is full: connecting to it gets no answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]
        for one in waiting:
            one.close()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_tcp_connects_leaves_nothing(
    loopback: Loopback, black_hole: int, scheme: str, leave: Leave
) -> None:
    relay = loopback.relay(f"{scheme}://127.0.0.1:{black_hole}")
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: loopback.clock.connecting, "the dial")
    await _check_left(loopback, relay, client, leave, ["tcp"])


@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_tcp_connects_to_the_proxy_leaves_nothing(
    loopback: Loopback, black_hole: int, leave: Leave
) -> None:
    proxy = Proxy("127.0.0.1", black_hole)
    relay = loopback.relay("wss://realtime.example", proxy=proxy)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: loopback.clock.connecting, "the dial")
    await _check_left(loopback, relay, client, leave, ["proxy"])


ANSWERS: dict[str, tuple[Step, ...]] = {
    "none": (),
    "half of one": (sends(b"HTTP/1.1 200 OK\r\n"),),
    "an interim one": (sends(head(102)),),
}


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("name", ANSWERS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_the_proxy_is_awaited_leaves_nothing(
    loopback: Loopback, name: str, leave: Leave
) -> None:
    port = UpstreamPort(*ANSWERS[name])
    proxy = Proxy("127.0.0.1", loopback.listen(port))
    relay = loopback.relay("wss://realtime.example", proxy=proxy)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: port.acted, "the proxy's part")
    await _check_left(loopback, relay, client, leave, ["proxy"])
    (peer,) = port.peers
    assert peer.lost is not None


# -- while it is connected -----------------------------------------------------------------

STAGES: dict[str, tuple[str, Cue, tuple[Step, ...], str]] = {
    "TLS handshake": ("wss", "bytes", (), "tls"),
    "upgrade": ("ws", "request", (), "upgrade"),
    "first event": ("ws", "request", (switches(), pings), "first_event"),
    "Close behind an error": (
        "ws",
        "request",
        (switches(error_event("invalid_model")), pings),
        "first_event",
    ),
}


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("by_proxy", [False, True])
@pytest_twisted.ensureDeferred
async def test_leaving_while_upstream_is_awaited_leaves_nothing(
    loopback: Loopback, by_proxy: bool, name: str, leave: Leave
) -> None:
    scheme, cue, steps, stage = STAGES[name]
    port = UpstreamPort(*steps, cue=cue)
    proxy = Proxy("127.0.0.1", loopback.listen(ProxyPort())) if by_proxy else None
    relay = loopback.relay(f"{scheme}://127.0.0.1:{loopback.listen(port)}", proxy=proxy)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: port.acted, "the upstream's part")
    await _check_left(loopback, relay, client, leave, [stage])
    (peer,) = port.peers
    await until(lambda: peer.lost is not None, "its end of the connection")


@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_leaving_while_the_next_upstream_is_tried_leaves_nothing(
    loopback: Loopback, leave: Leave
) -> None:
    port = UpstreamPort()
    urls = ("ws://127.0.0.1:1", f"ws://127.0.0.1:{loopback.listen(port)}")
    relay = loopback.relay(*urls)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: port.acted, "the second upstream")
    assert relay.active_holds == 1
    await leave(client)
    await loopback.settled(relay)
    record = relay.heard.one_refusal()
    outcomes = [attempt.outcome for attempt in record.attempts]
    assert (record.outcome, outcomes) == ("left", ["upstream_connect_failed", "cancelled"])


# -- who would have read it in band --------------------------------------------------------


@pytest.mark.parametrize("leave", WAYS)
@pytest_twisted.ensureDeferred
async def test_a_browser_that_leaves_leaves_nothing(loopback: Loopback, leave: Leave) -> None:
    port = UpstreamPort()
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = WebSocketClient(origin="http://localhost", agent="Mozilla/5.0")
    await loopback.connect(relay, client)
    await until(lambda: port.acted, "the upstream's part")
    await _check_left(loopback, relay, client, leave, ["upgrade"])


# -- callbacks that do not heed their cancellation -----------------------------------------


@dataclass
class Headstrong:
    """
    A callback of an embedder's that has an answer for every failure, its cancellation included.

    @ivar fallback: that answer.
    """

    fallback: object
    asked: int = 0

    def __call__(self, *_: object) -> Deferred[Any]:
        """Answer when cancelled, and never else."""
        self.asked += 1
        answer: Deferred[Any] = Deferred()
        return answer.addErrback(lambda _: self.fallback)


FALLBACKS = {"admit": Grant(), "credential": CANARY}


@pytest.mark.parametrize("callback", FALLBACKS)
@pytest_twisted.ensureDeferred
async def test_after_leaving_a_callbacks_fallback_opens_nothing(
    loopback: Loopback, callback: str
) -> None:
    """Nobody is there any more: an upstream session would cost money, and never end."""
    port = UpstreamPort(switches(CREATED))
    headstrong = Headstrong(FALLBACKS[callback])
    options: dict[str, Any] = {callback: headstrong}
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", **options)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: headstrong.asked, "the callback")
    client.die()
    await until(lambda: relay.heard.refusals or relay.heard.openings, "the record")
    assert relay.heard.one_refusal().outcome == "left"
    await loopback.settled(relay)
    assert not any(peer.received for peer in port.peers), "the key was used"


@pytest_twisted.ensureDeferred
async def test_after_leaving_a_late_key_dials_nothing(loopback: Loopback) -> None:
    keys: list[Deferred[str]] = []

    def credential() -> Deferred[str]:
        keys.append(Deferred())
        return keys[-1]

    relay = loopback.relay("ws://127.0.0.1:1", credential=credential)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: keys, "the callback")
    client.die()
    await until(lambda: relay.heard.refusals, "the record")
    keys[0].callback(CANARY)
    await loopback.settled(relay)
    assert loopback.clock.connecting == 0
