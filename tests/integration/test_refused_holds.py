"""Holds that the relay ends by itself: one whole answer, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from integration.answers import (
    WebSocketClient,
    assert_complete,
    parse_answer,
    refused_in_band,
)
from integration.logged import Logged
from integration.loopback import LINGER, Loopback, RawClient, until
from integration.refused_holds import (
    BARRED,
    ONE_SESSION,
    SITUATIONS,
    Barred,
    OurBug,
    Situation,
    held,
)
from integration.requests import upgrade
from integration.upstreams import UpstreamPort, answers

from relay import Settings
from relay.dial.dialer import Dialer


@pytest.mark.parametrize("case", BARRED, ids=str)
@pytest_twisted.ensureDeferred
async def test_a_barred_request_gets_its_refusal(
    loopback: Loopback, logged: Logged, case: Barred
) -> None:
    if case.logs is not None:
        logged.expected.add(case.logs)
    port = UpstreamPort()
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", **case.options)
    client = await loopback.connect(relay)
    client.send(upgrade())
    if case.seconds:
        await until(lambda: relay.active_holds, "a hold")
        await loopback.time_out(case.seconds)
    answer = parse_answer(await client.closed())
    assert_complete(answer)
    assert (answer.status, answer.error["code"]) == (case.status, case.code)
    assert answer.error["retryable"] is case.retryable
    assert case.headers.items() <= answer.headers.items()
    assert answer.error["attempts"] == case.attempts
    assert "stays in the log" not in answer.error["message"]
    record = relay.heard.one_refusal()
    assert (record.outcome, record.attempted) == (case.code, case.attempts)
    assert port.peers == []
    await loopback.settled(relay)


@pytest.mark.parametrize("case", SITUATIONS, ids=str)
@pytest_twisted.ensureDeferred
async def test_a_situation_of_the_relay_gives_its_refusal(
    loopback: Loopback, case: Situation
) -> None:
    port = UpstreamPort(*case.does)
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", settings=case.settings)
    client = await case.bring(loopback, relay, port)
    answer = parse_answer(await client.closed())
    assert_complete(answer)
    assert (answer.status, answer.error["code"]) == (case.status, case.code)
    assert case.headers.items() <= answer.headers.items()
    assert [refusal and refusal.code for refusal in relay.heard.refusals] == [case.code]
    assert relay.heard.holds[-1].outcome == case.code
    assert relay.active_holds + relay.active_sessions == case.holds
    for other in loopback.clients:
        other.die()
    await loopback.settled(relay, lingering=True)
    assert all(peer.lost for peer in port.peers)


@pytest_twisted.ensureDeferred
async def test_a_bug_of_the_relay_is_500_and_its_text_stays_in_the_log(
    loopback: Loopback, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dial(*_: object) -> None:
        raise OurBug("this text stays in the log")

    monkeypatch.setattr(Dialer, "dial", dial)
    logged.expected.add("hold req_")
    relay = loopback.relay("ws://127.0.0.1:1")
    client = await loopback.connect(relay)
    client.send(upgrade())
    received = await client.closed()
    answer = parse_answer(received)
    assert_complete(answer)
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert b"OurBug" not in received
    assert b"stays in the log" not in received
    assert relay.heard.one_refusal().outcome == "internal_error"
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_a_freed_place_is_given_again(loopback: Loopback) -> None:
    """As often as it is freed: nothing is counted that is gone."""
    port = UpstreamPort()
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", settings=ONE_SESSION)
    for _ in range(3):
        client = await held(loopback, relay, port)
        client.die()
        await loopback.settled(relay)
    assert relay.heard.refusals == [None, None, None]


@pytest_twisted.ensureDeferred
async def test_a_drain_ends_every_hold(loopback: Loopback) -> None:
    port = UpstreamPort()
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, settings=Settings(drain_seconds=0))
    clients = [await held(loopback, relay, port) for _ in range(3)]
    await relay.drain()
    assert [parse_answer(await client.closed()).status for client in clients] == [503] * 3
    await loopback.settled(relay)


# -- which form ----------------------------------------------------------------------------

BROWSER: dict[str, Any] = {"origin": "http://localhost:3000", "agent": "Mozilla/5.0 (X11)"}
ASKS: dict[str, Any] = {"subprotocols": ("realtime", "relay.refusals.event")}

IN_BAND = [("auto", BROWSER), ("auto", ASKS), ("event", {})]
BY_STATUS = [
    ("auto", {}),
    ("auto", {"agent": "Mozilla/5.0"}),
    ("auto", {"origin": "http://localhost"}),
    ("auto", {"subprotocols": ("realtime",)}),
    ("http", {**BROWSER, **ASKS}),
]


@pytest.mark.parametrize(("form", "client"), IN_BAND)
@pytest_twisted.ensureDeferred
async def test_a_refusal_is_told_in_band_to_browsers_and_offers(
    loopback: Loopback, form: Any, client: dict[str, Any]
) -> None:
    port = UpstreamPort(answers(500))
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, settings=Settings(refusals=form))
    websocket = WebSocketClient(**client)
    await loopback.connect(relay, websocket)
    error, close = await refused_in_band(websocket)
    assert error["code"] == "upstream_refused"
    assert bytes(close.data) == (1013).to_bytes(2, "big") + b"relay: upstream_refused"
    assert websocket.protocol.subprotocol == ("realtime" if client is ASKS else None)
    await loopback.settled(relay)


@pytest.mark.parametrize(("form", "client"), BY_STATUS)
@pytest_twisted.ensureDeferred
async def test_a_refusal_is_told_by_status_to_all_others(
    loopback: Loopback, form: Any, client: dict[str, Any]
) -> None:
    port = UpstreamPort(answers(500))
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, settings=Settings(refusals=form))
    websocket = WebSocketClient(**client)
    await loopback.connect(relay, websocket)
    assert parse_answer(await websocket.closed()).status == 502
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_a_client_that_ignores_a_refusal_in_band_is_cut(loopback: Loopback) -> None:
    port = UpstreamPort(answers(500))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = await loopback.connect(relay, RawClient())
    client.send(upgrade("Sec-WebSocket-Protocol: relay.refusals.event"))
    await until(lambda: b"relay: upstream_refused" in client.received, "the refusal")
    await loopback.time_out(LINGER)
    await until(lambda: client.lost, "the end")
    await loopback.settled(relay)
