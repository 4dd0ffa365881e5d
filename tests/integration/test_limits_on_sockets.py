"""What one client may have, and how its session ends, by the bytes that it sees."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from chaos.clients import CLOSE, TEXT, frame
from integration.loopback import LINGER, REACTOR, Loopback, RawClient, Relay, until
from integration.requests import upgrade
from integration.upstreams import CREATED, UpstreamPort, closes, switches
from memory import keyed
from twisted.internet.task import deferLater

from relay import Limits, Settings

CLIENT = upgrade("Authorization: Bearer k")
PLANES = ("splice", "message")


def relay_with(loopback: Loopback, port: UpstreamPort, plane: Any, **limits: Any) -> Relay:
    """A relay with these limits, whose clients are all one subject."""
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    settings = Settings(limits=Limits(**limits), plane=plane)
    return loopback.relay(url, admit=keyed("k"), settings=settings)


async def come(loopback: Loopback, relay: Relay) -> tuple[int, RawClient]:
    """The status that a client gets; if it is 101, the first event too."""
    client = await loopback.connect(relay)
    client.send(CLIENT)
    await until(lambda: b"\r\n\r\n" in client.received, "an answer")
    status = int(client.received.split()[1])
    if status == 101:
        await until(lambda: b"session.created" in client.received, "the first event")
    else:
        await client.closed()
    return status, client


async def left(loopback: Loopback, relay: Relay, sessions: int) -> None:
    """Wait until so many sessions are left; an upstream that answers no Close is waited for."""

    def is_so() -> bool:
        if relay.active_sessions > sessions and loopback.clock.has_due(LINGER):
            loopback.clock.advance(LINGER)
        return relay.active_sessions == sessions

    await until(is_so, f"{sessions} sessions")


def refusal(client: RawClient) -> tuple[str, bool, str | None]:
    """Code, whether to try again, and when."""
    head, _, body = client.received.decode().partition("\r\n\r\n")
    after = [line for line in head.split("\r\n") if line.startswith("Retry-After: ")]
    error = json.loads(body)["error"]
    return error["code"], error["retryable"], after[0].split()[1] if after else None


def close_in(frames: bytes) -> tuple[int, str]:
    """The Close that these begin with, masked or not."""
    assert frames[0] == 0x80 | CLOSE
    size, payload = frames[1], frames[2:]
    if size & 0x80:
        mask, payload = payload[:4], payload[4:]
        payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def last_close(client: RawClient) -> tuple[int, str]:
    """The Close that the relay sent at the end."""
    return close_in(client.received[client.received.rindex(bytes((0x80 | CLOSE,))) :])


@pytest.mark.parametrize(
    ("limits", "status", "told"),
    [
        ({"subject_sessions": 2}, 429, ("too_many_sessions", True, "5")),
        ({"subject_handshakes": 2}, 429, ("rate_limited", True, "30")),
        ({"sessions": 2}, 503, ("relay_full", True, "5")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_up_to_the_limit_they_come_and_the_next_is_told_when(
    loopback: Loopback, limits: dict[str, int], status: int, told: tuple[str, bool, str]
) -> None:
    relay = relay_with(loopback, UpstreamPort(switches(CREATED)), "splice", **limits)
    came = [await come(loopback, relay) for _ in range(3)]
    assert [got for got, _ in came] == [101, 101, status]
    assert refusal(came[2][1]) == told
    came[0][1].die()
    await left(loopback, relay, 1)
    if "subject_handshakes" in limits:
        loopback.clock.advance(30)
    assert (await come(loopback, relay))[0] == 101


@pytest_twisted.ensureDeferred
async def test_a_client_whose_sessions_keep_dying_is_slowed(loopback: Loopback) -> None:
    port = UpstreamPort(switches(CREATED, closes(1011)))
    relay = relay_with(loopback, port, "splice", subject_handshakes=0)
    got = []
    for _ in range(6):
        status, client = await come(loopback, relay)
        got.append(status)
        client.die()
        await left(loopback, relay, 0)
    assert got == [101] * 5 + [429]
    assert refusal(client) == ("rate_limited", True, "1")


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 3000, 4999])
@pytest_twisted.ensureDeferred
async def test_each_code_that_upstream_closes_with_is_the_clients(
    loopback: Loopback, plane: str, code: int
) -> None:
    relay = relay_with(loopback, UpstreamPort(switches(CREATED, closes(code, "why"))), plane)
    _, client = await come(loopback, relay)
    await until(lambda: b"why" in client.received, "the Close")
    assert last_close(client) == (code, "why")


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("code", [999, 1002, 1005, 1006, 1015, 2999, 5000])
@pytest_twisted.ensureDeferred
async def test_a_code_that_nobody_may_pass_on_is_1011(
    loopback: Loopback, plane: str, code: int
) -> None:
    port = UpstreamPort(switches(CREATED))
    relay = relay_with(loopback, port, plane)
    _, client = await come(loopback, relay)
    (peer,) = port.peers
    before = len(peer.received)
    client.send(frame(CLOSE, code.to_bytes(2, "big") + b"why"))
    await until(lambda: len(peer.received) > before, "the Close")
    assert close_in(peer.received[before:])[0] == 1011
    await left(loopback, relay, 0)
    assert last_close(client)[0] == 1002


@pytest.mark.parametrize("plane", PLANES)
@pytest_twisted.ensureDeferred
async def test_closes_that_cross_end_both_sides_with_their_own_codes(
    loopback: Loopback, plane: str
) -> None:
    port = UpstreamPort(switches(CREATED))
    relay = relay_with(loopback, port, plane)
    _, client = await come(loopback, relay)
    (peer,) = port.peers
    before = len(peer.received)
    peer.transport.write(closes(4000, "up"))
    client.send(frame(CLOSE, b"\x0f\xa1down"))
    await left(loopback, relay, 0)
    assert last_close(client)[0] in (4000, 4001)
    assert close_in(peer.received[before:])[0] in (4000, 4001)


@pytest.mark.parametrize("plane", PLANES)
@pytest_twisted.ensureDeferred
async def test_a_client_that_floods_for_a_minute_is_told_and_closed(
    loopback: Loopback, plane: str
) -> None:
    relay = relay_with(
        loopback, UpstreamPort(switches(CREATED)), plane, messages_per_second=100, ping_seconds=3600
    )
    _, client = await come(loopback, relay)
    for _ in range(75):
        client.send(frame(TEXT, b"{}") * 500)
        for _ in range(5):  # turns, in which it is read
            await deferLater(REACTOR, 0)
        loopback.clock.advance(1)
        if b"too much" in client.received:
            break
    await until(lambda: b"too much for too long" in client.received, "the Close")
    assert last_close(client) == (1008, "relay: client sent too much for too long")
    await loopback.settled(relay, lingering=True)
