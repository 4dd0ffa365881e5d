"""Who a request comes from, in the records; probes without Host; hints that can be pasted."""

from __future__ import annotations

import tomllib

import pytest
from attrs import evolve
from memory import World
from twisted.internet.address import IPv4Address
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

from relay import Grant, Request, Settings
from relay.config.load import load
from relay.telemetry.metrics import Metrics
from relay.testing.peers import Line
from relay.testing.reactor import THERE

TRUSTING = Settings(trusted_proxies=("127.0.0.1",))
PROBE = b"GET %s HTTP/1.0\r\n\r\n"


def asked(line: Line, **headers: str) -> bytes:
    """The answer to a plain request."""
    fields = {"host": "localhost", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    line.deliver("\r\n".join(["GET /v1/nothing HTTP/1.1", *lines, "", ""]).encode())
    return line.take()


# -- forwarding headers --------------------------------------------------------------------


def test_the_forwarded_address_stands_in_every_record() -> None:
    world = World(settings=TRUSTING)
    headers = {"X-Forwarded-For": "192.0.2.1", "X-Request-Id": "theirs-1"}
    downstream, _ = world.open(headers=headers)
    downstream.line.lose()
    world.advance(4)
    (record,) = world.listener.holds
    (closed,) = world.listener.ends
    assert (record.peer, record.request_id, record.detail) == ("192.0.2.1", "theirs-1", None)
    assert closed.hold is record
    assert downstream.response is not None
    assert downstream.response.headers["X-Request-Id"] == "theirs-1"


def test_an_answered_record_has_it_too() -> None:
    world = World(settings=TRUSTING)
    answer = asked(world.accept(), forwarded='for="[2001:db8::1]:80"', x_request_id="theirs-2")
    assert b"\r\nX-Request-Id: theirs-2\r\n" in answer
    (record,) = world.listener.answers
    assert (record.peer, record.request_id) == ("2001:db8::1", "theirs-2")


def test_admit_is_given_it() -> None:
    requests: list[Request] = []

    def admit(request: Request) -> Grant:
        requests.append(request)
        return Grant()

    world = World(settings=TRUSTING, options={"admit": admit})
    world.downstream(headers={"X-Forwarded-For": "192.0.2.1", "X-Request-Id": "theirs"})
    assert [(request.peer, request.id) for request in requests] == [("192.0.2.1", "theirs")]


def test_nobody_else_is_believed() -> None:
    world = World()
    answer = asked(world.accept(), x_forwarded_for="192.0.2.1", x_request_id="theirs")
    assert b"theirs" not in answer
    (record,) = world.listener.answers
    assert record.peer == "127.0.0.1"


def test_what_was_not_believed_stands_in_the_detail() -> None:
    world = World(settings=TRUSTING)
    world.open(headers={"X-Forwarded-For": "nobody"})
    world.downstream("/nowhere", headers={"X-Forwarded-For": "nobody"})
    opened, refused = world.listener.holds
    said = "not believed of the proxy 127.0.0.1: X-Forwarded-For is malformed"
    assert opened.detail == said
    assert refused.detail is not None
    assert refused.detail.endswith(f"; {said}")
    assert refused.detail.startswith("Nothing is served")


PAGE = "https://relay.example"


@pytest.mark.parametrize(
    ("settings", "proto", "outcome"),
    [
        (TRUSTING, "https", ""),
        (TRUSTING, "http", "origin_not_allowed"),
        (TRUSTING, None, "origin_not_allowed"),
        (Settings(), "https", "origin_not_allowed"),
    ],
)
def test_a_page_that_came_to_the_proxy_by_tls_is_the_relays_own(
    settings: Settings, proto: str | None, outcome: str
) -> None:
    world = World(settings=evolve(settings, hosts=("relay.example",)))
    line = world.accept()
    head = (
        "GET /v1/realtime HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nOrigin: {PAGE}\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    line.deliver((head + (f"X-Forwarded-Proto: {proto}\r\n" if proto else "") + "\r\n").encode())
    assert [record.outcome for record in world.listener.holds] == ([outcome] if outcome else [])
    assert world.factory.active_holds == (0 if outcome else 1)


# -- the PROXY protocol --------------------------------------------------------------------

PROXIED = [
    b"PROXY TCP4 192.0.2.1 198.51.100.1 50000 443\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xc3\x50\x01\xbb",
]


def behind_proxy(world: World) -> Line:
    """A connection to C{haproxy:tcp:…}, as Twisted builds it."""
    proxy = IPv4Address("TCP", "127.0.0.1", 40000)
    return world.wire(HAProxyWrappingFactory(world.factory).buildProtocol(proxy))


@pytest.mark.parametrize("header", PROXIED)
def test_the_address_of_the_proxy_protocol_stands_in_the_records(header: bytes) -> None:
    world = World()
    line = behind_proxy(world)
    line.deliver(header)
    asked(line)
    (record,) = world.listener.answers
    assert record.peer == "192.0.2.1"


@pytest.mark.parametrize("header", PROXIED)
def test_it_stands_there_too_if_no_head_ever_is_whole(header: bytes) -> None:
    world = World()
    line = behind_proxy(world)
    line.deliver(header + b"GET")
    world.advance(11)
    (record,) = world.listener.holds
    assert (record.outcome, record.peer) == ("request_timeout", "192.0.2.1")


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (b"PROXY UNKNOWN ff::1 ff::1 65535 65535\r\n", "127.0.0.1"),
        (b"PROXY TCP4 \x1b[2Jevil 198.51.100.1 50000 443\r\n", "unknown"),
    ],
)
def test_what_is_no_address_there_is_none_in_the_records(header: bytes, peer: str) -> None:
    world = World()
    line = behind_proxy(world)
    line.deliver(header)
    asked(line)
    (record,) = world.listener.answers
    assert record.peer == peer


def test_a_proxy_behind_the_proxy_protocol_is_trusted_by_its_own_address() -> None:
    world = World(settings=Settings(trusted_proxies=("192.0.2.1",)))
    line = behind_proxy(world)
    line.deliver(PROXIED[0])
    asked(line, x_forwarded_for="203.0.113.9")
    (record,) = world.listener.answers
    assert record.peer == "203.0.113.9"


# -- probes --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("admin", [False, True])
@pytest.mark.parametrize("public", [False, True])
def test_a_probe_without_host_is_answered(
    path: bytes, method: bytes, admin: bool, public: bool
) -> None:
    world = World()
    factory = world.factory.admin(Metrics())
    factory.set_public(public)
    line = world.wire(factory.buildProtocol(THERE)) if admin else world.accept()
    line.deliver(PROBE.replace(b"GET", method) % path)
    assert line.take().startswith(b"HTTP/1.0 200 ")


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.0", b"GET /v1/realtime HTTP/1.0", b"GET /healthz HTTP/1.1"]
)
def test_nothing_else_is_answered_without_host(request_line: bytes) -> None:
    world = World()
    line = world.accept()
    line.deliver(request_line + b"\r\n\r\n")
    answer = line.take()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Send one valid Host header." in answer


def test_a_probe_with_two_hosts_is_malformed() -> None:
    world = World()
    line = world.accept()
    line.deliver(b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
    assert line.take().startswith(b"HTTP/1.1 400 ")


# -- hints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["192.0.2.2:18800", "Relay.Example.:80", "[2001:db8::1]:8080", "relay_1"]
)
def test_what_the_hint_adds_to_hosts_lets_that_host_in(host: str) -> None:
    first = World()
    asked(first.accept(), host=host)
    (record,) = first.listener.holds
    assert record.outcome == "host_not_allowed"
    settings = load(pasted(record.detail, "hosts"))
    second = World(settings=settings)
    asked(second.accept(), host=host)
    assert [each.status for each in second.listener.answers] == [404]


@pytest.mark.parametrize("origin", ["https://App.example:443", "capacitor://localhost", "null"])
def test_what_the_hint_adds_to_origins_lets_that_origin_in(origin: str) -> None:
    first = World()
    asked(first.accept(), origin=origin)
    (record,) = first.listener.holds
    settings = load(pasted(record.detail, "origins"))
    second = World(settings=settings)
    asked(second.accept(), origin=origin.lower())
    assert [each.status for each in second.listener.answers] == [404]


def pasted(detail: str | None, key: str) -> str:
    assert detail is not None
    value = detail.partition("to allow it, add ")[2].partition(f" to {key}")[0]
    assert tomllib.loads(f"{key} = [{value}]")
    return f"{key} = [{value}]"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"host": "a..b"}, "hosts cannot allow it: "),
        ({"origin": "https://app.example/path"}, "origins cannot allow it: "),
        ({"origin": "it's"}, "origins cannot allow it: "),
    ],
)
def test_what_the_settings_cannot_hold_is_not_proposed(headers: dict[str, str], said: str) -> None:
    world = World()
    asked(world.accept(), **headers)
    (record,) = world.listener.holds
    assert record.detail is not None
    assert record.detail.startswith(said)
