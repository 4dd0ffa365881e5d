"""An upstream behind a proxy, in memory: what it is asked, and what becomes of its answer."""

from __future__ import annotations

import errno
import json
import socket
from typing import Any

import pytest
from memory import World
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure

from relay import Proxy, Upstream
from relay.http.answer import MAX_HEAD
from relay.testing.peers import Line, Peer

CREATED = '{"type":"session.created"}'
URL = "ws://realtime.example/v1/realtime"
PROXY = Proxy("192.0.2.1", 3128, "user:hunter2hunter2")
CONNECT = PROXY.request("realtime.example", 80)
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture
def world() -> World:
    return World(upstream=Upstream(URL, proxy=PROXY))


def asked(world: World) -> Line:
    """The connection to the proxy, which has read what it is asked."""
    line = world.connected()
    assert line.take() == CONNECT
    return line


def refused(world: World, downstream: Peer) -> dict[str, Any]:
    """The error that downstream got, the proxy's name in it and its password not."""
    answer = downstream.line.take()
    assert b"hunter2" not in answer
    error: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    downstream.line.fin()
    assert world.is_clean()
    return error


def test_a_session_opens_through_a_tunnel_and_is_spliced(world: World) -> None:
    downstream = world.downstream()
    assert world.reactor.tcpClients[-1][:2] == (PROXY.host, PROXY.port)
    line = asked(world)
    line.deliver(OK)
    upstream = world.answering(line)
    upstream.send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]
    downstream.send("up")
    upstream.send("down")
    world.settle(upstream, downstream)
    assert (upstream.received, downstream.received[1:]) == (["up"], ["down"])
    downstream.send_close(1000)
    world.settle(upstream, downstream)
    line.lose()
    assert world.is_clean()
    (attempt,) = world.listener.holds[0].attempts
    assert list(attempt.stages) == ["proxy", "upgrade", "first_event"]
    assert world.listener.ends[0].plane == "splice"


def test_only_the_connect_request_is_sent_before_the_proxys_answer(world: World) -> None:
    world.downstream()
    line = asked(world)
    line.deliver(OK[:-1])
    assert line.take() == b""
    line.deliver(OK[-1:])
    assert line.take().startswith(b"GET /v1/realtime?model=m HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 \r\n\r\n",
        b"HTTP/1.1 299 Odd\r\nX-A: b\r\n\r\n",
        b"HTTP/1.1 102 Wait\r\n\r\n" + OK,
        # RFC 9110, 9.3.6: a 2xx to CONNECT has no body, whatever it says.
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_any_2xx_opens_the_tunnel_in_whatever_pieces_it_comes(
    world: World, answer: bytes, size: int
) -> None:
    world.downstream()
    line = asked(world)
    for start in range(0, len(answer), size):
        line.deliver(answer[start : start + size])
    world.answering(line).send(CREATED)
    assert world.listener.holds[0].outcome == "opened"


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
def test_bytes_right_after_the_proxys_answer_are_upstreams(world: World, answer: bytes) -> None:
    downstream = world.downstream()
    asked(world).deliver(answer + b"HTTP/1.1 500 Down\r\nContent-Length: 0\r\n\r\n")
    error = refused(world, downstream)
    assert (error["code"], error["retryable"]) == ("upstream_refused", True)
    assert (error["upstream"]["stage"], error["upstream"]["status"]) == ("upgrade", 500)


@pytest.mark.parametrize(
    ("answer", "error", "retryable"),
    [
        (b"HTTP/1.1 407 Who?\r\n\r\n", "HTTP 407", False),
        (b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nnever", "HTTP 403", False),
        (b"HTTP/1.1 502 Bad\r\n\r\n", "HTTP 502", True),
        (b"HTTP/1.1 101 Odd\r\n\r\n", "HTTP 101", True),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "no HTTP", True),
        (b"HTTP/1.1 200 " + b"x" * MAX_HEAD, "no HTTP", True),
    ],
)
def test_a_proxys_answer_other_than_2xx_ends_the_attempt_at_once(
    world: World, answer: bytes, error: str, retryable: bool
) -> None:
    downstream = world.downstream()
    line = asked(world)
    line.deliver(answer)
    assert line.lost is not None
    told = refused(world, downstream)
    assert (told["code"], told["retryable"]) == ("upstream_connect_failed", retryable)
    assert (told["upstream"]["stage"], told["upstream"]["status"]) == ("proxy", None)
    assert "relay's proxy" in told["message"]
    (attempt,) = world.listener.holds[0].attempts
    assert (attempt.stage, attempt.stages, attempt.error) == ("proxy", {}, error)


def test_a_proxy_that_hangs_up_is_named_in_the_refusal(world: World) -> None:
    downstream = world.downstream()
    asked(world).lose()
    told = refused(world, downstream)
    assert (told["code"], told["upstream"]["stage"]) == ("upstream_connect_failed", "proxy")
    assert "proxy dropped the connection" in told["message"]
    assert world.listener.holds[0].attempts[0].error == "ConnectionDone"


def fail(world: World, error: Exception) -> None:
    """The connection that was last asked for cannot be made."""
    _, _, factory, _, _ = world.reactor.tcpClients[-1]
    factory.clientConnectionFailed(world.reactor.connectors[-1], Failure(error))


def test_a_proxy_that_cannot_be_reached_is_named_in_the_refusal(world: World) -> None:
    downstream = world.downstream()
    fail(world, ConnectionRefusedError())
    told = refused(world, downstream)
    assert (told["code"], told["retryable"]) == ("upstream_connect_failed", True)
    assert (told["upstream"]["stage"], "proxy" in told["message"]) == ("proxy", True)
    assert world.listener.holds[0].attempts[0].error == "ConnectionRefusedError"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL, errno.ENOMEM])
def test_what_the_relay_lacks_itself_is_not_the_proxys_fault(world: World, number: int) -> None:
    downstream = world.downstream()
    fail(world, ConnectionRefusedError(osError=number))
    assert refused(world, downstream)["code"] == "relay_full"
    assert world.listener.holds[0].attempts[0].error == errno.errorcode[number]


def addresses(monkeypatch: pytest.MonkeyPatch, *found: str | Exception) -> None:
    """What every name resolves to."""

    async def resolve(resolver: object, name: str) -> tuple[str | Exception, ...]:
        if isinstance(found[0], Exception):
            raise found[0]
        return found

    monkeypatch.setattr("relay.dial.resolver.Resolver.resolve", resolve)


def test_a_proxy_without_an_address_is_no_fault_of_upstreams_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addresses(monkeypatch, socket.gaierror(socket.EAI_NONAME, "no such name"))
    world = World(upstream=Upstream(URL, proxy=Proxy("proxy.example")))
    told = refused(world, world.downstream())
    assert (told["code"], told["upstream"]["stage"]) == ("upstream_connect_failed", "proxy")
    assert world.listener.holds[0].attempts[0].error == "gaierror"


def test_only_one_address_of_the_proxy_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses(monkeypatch, "192.0.2.1", "192.0.2.2")
    downstream = world.downstream()
    line = asked(world)
    world.advance(5)
    assert len(world.reactor.tcpClients) == 1, "a slow tunnel is no reason for a second"
    line.deliver(OK)
    world.answering(line).send(CREATED)
    assert downstream.line.sent.startswith(b"HTTP/1.1 101 ")


PHASES = ["connecting", "asked", "tunnel"]


def reach(world: World, phase: str) -> Line | None:
    """How far the proxy has come."""
    if phase == "connecting":
        return None
    line = asked(world)
    line.deliver(b"HTTP/1.1 200" if phase == "asked" else OK)
    return line


@pytest.mark.parametrize("phase", PHASES)
def test_a_downstream_that_leaves_ends_the_tunnel(world: World, phase: str) -> None:
    downstream = world.downstream()
    line = reach(world, phase)
    downstream.line.reset()
    connector = world.reactor.connectors[-1]
    assert connector.stoppedConnecting if line is None else line.lost is not None
    assert world.is_clean()
    assert world.listener.holds[0].outcome == "left"
    stage = "upgrade" if phase == "tunnel" else "proxy"
    (attempt,) = world.listener.holds[0].attempts
    assert (attempt.stage, attempt.outcome) == (stage, "cancelled")


@pytest.mark.parametrize("phase", PHASES[:2])
def test_a_silent_proxy_is_504_at_the_deadline(world: World, phase: str) -> None:
    downstream = world.downstream()
    line = reach(world, phase)
    world.advance(world.settings.hold_seconds)
    told = refused(world, downstream)
    assert (told["code"], told["upstream"]["stage"]) == ("upstream_timeout", "proxy")
    assert line is None or line.lost is not None


def test_what_a_dropped_proxy_still_sends_is_ignored(world: World) -> None:
    downstream = world.downstream()
    line = asked(world)
    downstream.line.reset()
    line.protocol.dataReceived(OK)
    assert world.is_clean()


def test_upstream_never_sees_the_proxys_password(world: World) -> None:
    world.downstream()
    line = asked(world)
    line.deliver(OK)
    assert b"roxy" not in line.take()


def test_no_refusal_tells_the_proxys_password(world: World) -> None:
    downstream = world.downstream()
    line = asked(world)
    line.deliver(OK)
    body = b'{"error":{"code":"odd","message":"saw hunter2hunter2"}}'
    line.deliver(b"HTTP/1.1 500 Odd\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert "[redacted]" in refused(world, downstream)["message"]
