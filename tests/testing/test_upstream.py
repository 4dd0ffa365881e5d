"""What embedders test with: a client, a fake upstream for each way that a dial can go."""

from __future__ import annotations

from typing import Any

import pytest

from relay import Limits, RelayFactory, Settings, Upstream
from relay.testing import (
    CREATED,
    FakeUpstream,
    Line,
    Peer,
    Reactor,
    RecordingListener,
    Script,
    answers,
    connect,
    drops,
    opens,
    opens_silently,
    refuses_connections,
    rejects,
    says_nothing,
)
from relay.testing.peers import client as websocket_client
from relay.testing.reactor import THERE


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


def relay_to(upstream: FakeUpstream, **options: Any) -> RelayFactory:
    return RelayFactory(
        [Upstream(upstream.url, credential="sk-secret")], reactor=upstream.reactor, **options
    )


def test_without_a_script_a_session_opens_and_messages_cross(reactor: Reactor) -> None:
    upstream = FakeUpstream(reactor)
    client = connect(reactor, relay_to(upstream))
    assert (client.status, client.received) == (101, [CREATED])
    client.send("up")
    upstream.peers[0].send(b"down")
    reactor.settle()
    assert upstream.peers[0].received == ["up"]
    assert client.received[1:] == [b"down"]


def test_the_upgrade_that_came_to_the_upstream_is_kept(reactor: Reactor) -> None:
    upstream = FakeUpstream(reactor)
    connect(reactor, relay_to(upstream), "/v1/realtime?model=mine")
    request = upstream.peers[0].request
    assert request is not None
    assert request.path == "/v1/realtime?model=mine"
    assert request.headers["Authorization"] == "Bearer sk-secret"


def test_a_header_of_the_client_replaces_its_own_of_that_name(reactor: Reactor) -> None:
    relay = relay_to(FakeUpstream(reactor))
    client = connect(reactor, relay, headers={"Host": "elsewhere.example"})
    assert (client.status, client.error["code"]) == (403, "host_not_allowed")


def test_messages_of_a_script_cross_in_order(reactor: Reactor) -> None:
    upstream = FakeUpstream(reactor, opens(CREATED, "first", b"second"))
    assert connect(reactor, relay_to(upstream)).received == [CREATED, "first", b"second"]


FAULTS = [
    (refuses_connections, 0, "upstream_connect_failed", "tcp"),
    (answers(401, b'{"error":{"code":"invalid_api_key"}}'), 0, "upstream_unauthorized", "upgrade"),
    (answers(429, Retry_After="7"), 0, "upstream_rate_limited", "upgrade"),
    (rejects("invalid_model"), 0, "upstream_rejected_request", "first_event"),
    (drops, 1, "upstream_connect_failed", "upgrade"),
    (says_nothing, 8, "upstream_timeout", "upgrade"),
    (opens_silently, 8, "upstream_timeout", "first_event"),
]


@pytest.mark.parametrize(
    ("script", "seconds", "code", "stage"), FAULTS, ids=[f"{code} {at}" for *_, code, at in FAULTS]
)
def test_each_fault_reaches_the_client_as_its_refusal(
    reactor: Reactor, script: Script, seconds: float, code: str, stage: str
) -> None:
    listener = RecordingListener()
    client = connect(reactor, relay_to(FakeUpstream(reactor, script), listeners=[listener]))
    reactor.wait(seconds)
    assert client.error["code"] == code
    assert client.error["upstream"]["stage"] == stage
    assert client.status is not None
    assert client.status >= 400
    (refusal,) = listener.refusals
    assert refusal is not None
    assert (refusal.code, refusal.status) == (code, client.status)
    assert listener.openings == []


def test_a_refusal_in_band_is_an_error_of_the_client(reactor: Reactor) -> None:
    relay = relay_to(FakeUpstream(reactor, refuses_connections))
    client = connect(
        reactor, relay, headers={"User-Agent": "Mozilla/5.0"}, subprotocols=["realtime"]
    )
    assert client.error["code"] == "upstream_connect_failed"


def test_scripts_are_for_one_connection_each_and_the_last_for_all_that_follow(
    reactor: Reactor,
) -> None:
    relay = relay_to(FakeUpstream(reactor, answers(400), opens()))
    assert [connect(reactor, relay).status for _ in range(3)] == [502, 101, 101]


def test_upstreams_are_told_apart_by_port(reactor: Reactor) -> None:
    first = FakeUpstream(reactor, refuses_connections)
    second = FakeUpstream(reactor, port=9001)
    upstreams = [Upstream(first.url, "first"), Upstream(second.url, "second", priority=1)]
    relay = RelayFactory(upstreams, reactor=reactor)
    assert connect(reactor, relay).status == 101
    assert (len(first.peers), len(second.peers)) == (0, 1)


def test_a_connection_that_is_given_up_at_once_is_not_made(reactor: Reactor) -> None:
    upstream = FakeUpstream(reactor)
    relay = relay_to(upstream)
    client = Peer(
        Line(reactor, relay.buildProtocol(THERE)), websocket_client("/v1/realtime?model=m")
    )
    client.ask()
    client.line.reset()
    reactor.settle()
    assert upstream.peers == []
    assert (relay.active_holds, reactor.getDelayedCalls()) == (0, [])


def test_a_far_end_that_does_not_read_holds_the_relay_back(reactor: Reactor) -> None:
    upstream = FakeUpstream(reactor)
    relay = relay_to(upstream, settings=Settings(limits=Limits(stall_seconds=5)))
    client = connect(reactor, relay)
    client.reads = False
    for _ in range(10):
        upstream.peers[0].send(b"x" * 65536)
    reactor.settle()
    assert upstream.peers[0].line.paused
    client.reads = True
    reactor.settle()
    assert not upstream.peers[0].line.paused
    assert len(client.received) == 11


def test_the_end_of_a_session_is_kept_by_the_listener(reactor: Reactor) -> None:
    listener = RecordingListener()
    upstream = FakeUpstream(reactor)
    client = connect(reactor, relay_to(upstream, listeners=[listener]))
    upstream.peers[0].send_close(4000, "bye")
    reactor.settle()
    assert client.close == (4000, "bye")
    (record,) = listener.ends
    assert (record.hold, record.close_code) == (listener.openings[0], 4000)
