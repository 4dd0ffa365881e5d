"""Calls over real sockets: by TLS, by a proxy, to the simulator; and what fails on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
import trustme
from integration.broken_tls import Certified, expired, good
from integration.canary import CANARY
from integration.loopback import HOLD, Loopback, Relay, until
from integration.proxies import ProxyPort
from integration.requests import request
from integration.upstreams import UpstreamPort, answers, ends, error

from relay import Grant, GrantLimits, Proxy
from relay.simulator import SimulatorFactory

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
CALLS = "/v1/realtime/calls"


class Told:
    """An answer."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *rows = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(row.lower().split(": ", 1) for row in rows)

    def code_and_stage(self) -> tuple[int, str, str]:
        """What a refusal says."""
        told = json.loads(self.body)["error"]
        return self.status, told["code"], told["upstream"]["stage"]


async def post(loopback: Loopback, relay: Relay, path: str = CALLS, body: str = OFFER) -> Told:
    """Post, and leave all deadlines to whoever moves the time."""
    client = await loopback.connect(relay)
    kind = "Content-Type: application/sdp"
    head = request(f"POST {path} HTTP/1.1", "Host: 127.0.0.1", kind, f"Content-Length: {len(body)}")
    client.send(head + body.encode())
    return Told(await client.closed())


@pytest.mark.parametrize("proxied", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_call_is_set_up_and_ended_by_tls(
    loopback: Loopback, authority: trustme.CA, ca_file: str, proxied: bool
) -> None:
    simulator = SimulatorFactory(loopback.clock)
    port = loopback.listen(simulator, Certified(good(authority)))
    options: dict[str, Any] = {"ca_file": ca_file}
    if proxied:
        options["proxy"] = Proxy("127.0.0.1", loopback.listen(ProxyPort()))
    relay = loopback.relay(f"wss://127.0.0.1:{port}/v1/realtime", **options)
    made = await post(loopback, relay)
    assert made.status == 201, made.body
    assert made.body.startswith(b"v=0\r\n")
    (call_id,) = simulator.calls.open
    assert made.headers["location"] == f"{CALLS}/{call_id}"
    (record,) = relay.heard.calls
    way = ["proxy"] if proxied else ["dns", "tcp"]
    assert [*record.attempts[0].stages] == [*way, "tls", "response"]
    assert (await post(loopback, relay, f"{CALLS}/{call_id}/hangup", "")).status == 200
    assert simulator.calls.told == [("hangup", call_id)]
    await loopback.settled(relay)


@pytest.mark.parametrize("live", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_call_of_who_has_a_budget_is_heard_and_hung_up(
    loopback: Loopback, live: bool
) -> None:
    simulator = SimulatorFactory(loopback.clock)
    url = f"ws://127.0.0.1:{loopback.listen(simulator)}/v1"
    grant = Grant("ann", GrantLimits(session_tokens=5))
    relay = loopback.relay(url, admit=lambda request: grant)
    if live:
        offer = {"session": {"model": "m"}, "transport": {"type": "webrtc", "sdp": OFFER}}
        made = await post(loopback, relay, "/v1/live/sessions", json.dumps(offer))
    else:
        made = await post(loopback, relay)
    assert made.status == 201, made.body
    assert relay.active_sessions == 1
    (call_id,) = simulator.calls.open
    relay.handles.revoke("ann")
    await until(lambda: simulator.calls.told == [("hangup", call_id)], "a hang-up")
    await loopback.settled(relay)
    assert relay.active_sessions == 0


@pytest_twisted.ensureDeferred
async def test_an_upstream_with_a_bad_certificate_is_sent_nothing(
    loopback: Loopback, authority: trustme.CA, ca_file: str
) -> None:
    port = UpstreamPort(answers(201))
    url = f"wss://127.0.0.1:{loopback.listen(port, Certified(expired(authority)))}/v1"
    relay = loopback.relay(url, ca_file=ca_file)
    told = await post(loopback, relay)
    assert told.code_and_stage() == (502, "upstream_tls_failed", "tls")
    assert not any(peer.received for peer in port.peers), "the request, key included, was sent"
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_an_upstream_that_hangs_up_within_tls_is_not_connected(loopback: Loopback) -> None:
    port = UpstreamPort(ends, cue="connection")
    relay = loopback.relay(f"wss://127.0.0.1:{loopback.listen(port)}/v1")
    told = await post(loopback, relay)
    assert told.code_and_stage() == (502, "upstream_connect_failed", "tls")
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_a_refusal_that_quotes_the_key_does_not_show_it(loopback: Loopback) -> None:
    port = UpstreamPort(answers(418, body=error("odd", f"not with {CANARY}")))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}/v1")
    told = await post(loopback, relay)
    assert told.code_and_stage() == (502, "upstream_refused", "response")
    assert CANARY.encode() in port.peers[0].received, "else this shows nothing"
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_not_answered_ends_at_the_deadline(loopback: Loopback) -> None:
    port = UpstreamPort()
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}/v1")
    client = await loopback.connect(relay)
    kind = "Content-Type: application/sdp"
    head = request(f"POST {CALLS} HTTP/1.1", "Host: 127.0.0.1", kind, "Content-Length: 3")
    client.send(head + b"v=0")
    await loopback.time_out(HOLD)
    told = Told(await client.closed())
    assert told.code_and_stage() == (504, "upstream_timeout", "response")
    await loopback.settled(relay)
