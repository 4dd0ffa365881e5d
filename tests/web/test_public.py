"""The relay's own site, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, cast

import pytest
from memory import World
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from relay import Limits, Settings
from relay.admission.callers import Callers
from relay.admission.ephemeral import Mint
from relay.admission.request import Request
from relay.downstream.plain import Asked
from relay.http.cors import cors_headers, is_preflight
from relay.http.head import parse_head
from relay.rules.refusals import KINDS, RefusalCode
from relay.telemetry.records import AnsweredRecord
from relay.upstreams.endpoints import Served
from relay.web.admitted import Door
from relay.web.public import public_site


def no_calls(path: str) -> None:
    """What upstreams without calls have at any path."""


def door(clock: Clock) -> Door:
    return Door(None, 1, clock, Callers(Limits(), clock.seconds))


class Transport(StringTransport):
    """One with the options of a socket."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing."""


@dataclass
class Answer:
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Visitor:
    """Asks the site, with one connection for each request, on a clock of its own."""

    ready: bool = True
    base_path: str = ""
    clock: Clock = field(default_factory=Clock)
    records: list[AnsweredRecord] = field(default_factory=list)

    def fetch(
        self,
        path: str,
        method: str = "GET",
        base: str = "http://relay.test:8080",
        fields: str = "",
    ) -> Answer:
        scheme, _, host = base.partition("://")
        served = Served(["realtime"], self.base_path)
        site = public_site(
            served, lambda: self.ready, {}, door(self.clock), Mint(), no_calls, self.clock
        )
        address = IPv4Address("TCP", "192.0.2.1", 1)
        transport = Transport(peerAddress=address)
        data = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n"
        head = parse_head(data.encode(), 100)
        request = Request(f"req_{len(self.records)}", "192.0.2.1", head)
        headers = (("X-Request-Id", request.id), *cors_headers(head))
        asked = Asked(request, headers, is_preflight(head), scheme == "https", self.records.append)
        channel = site.serve(address, asked)
        channel.makeConnection(transport)
        channel.dataReceived(head.for_site())
        channel.connectionLost(cast(Any, None))
        return parsed(transport.value())


def parsed(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = dict(cast(tuple[str, str], field.split(": ", 1)) for field in rest)
    return Answer(int(line.split()[1]), headers, body)


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    """Who asks; nothing is logged, and nothing left on the clock."""
    visitor = Visitor()
    events: list[object] = []
    observe = cast(Any, events.append)
    globalLogPublisher.addObserver(observe)
    yield visitor
    globalLogPublisher.removeObserver(observe)
    assert events == []
    assert visitor.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("path", "ready", "status", "body"),
    [
        ("/healthz", True, 200, b"alive\n"),
        ("/healthz", False, 200, b"alive\n"),
        ("/healthz?token=x", True, 200, b"alive\n"),
        ("/readyz", True, 200, b"ready\n"),
        ("/readyz", False, 503, b"draining\n"),
    ],
)
def test_healthz_is_200_and_readyz_is_503_in_a_drain(
    visitor: Visitor, path: str, ready: bool, status: int, body: bytes
) -> None:
    visitor.ready = ready
    answer = visitor.fetch(path)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("base", ["http://relay.test:8080", "https://relay.test", "http://[::1]:1"])
def test_the_root_says_how_to_connect(visitor: Visitor, base: str) -> None:
    answer = visitor.fetch("/", base=base)
    assert answer.status == 200
    assert f'base_url="{base}/v1"' in answer.body.decode()
    assert f"curl -i {base}/v1/realtime\n" in answer.body.decode()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "BREW"])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/nothing", "not_found"),
        ("/v1", "not_found"),
        ("/v1/realtime/callsign", "not_found"),
        ("/v1/realtime/calls/rtc_1", "not_found"),
        ("/v1/realtime/calls", "not_supported"),
        ("/v1/realtime/calls?api_key=x", "not_supported"),
        ("/prefix/v1/realtime/calls", "not_found"),
    ],
)
def test_any_other_path_is_refused_in_the_usual_shape(
    visitor: Visitor, method: str, path: str, code: RefusalCode
) -> None:
    answer = visitor.fetch(path, method)
    assert answer.status == KINDS[code].status
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Should-Retry"] == "false"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    error = json.loads(answer.body)["error"]
    assert (error["type"], error["code"]) == ("relay_error", code)
    assert error["request_id"] == answer.headers["X-Request-Id"]


def test_each_refusal_has_an_id_of_its_own(visitor: Visitor) -> None:
    ids = {visitor.fetch("/nothing").headers["X-Request-Id"] for _ in range(5)}
    assert ids == {f"req_{number}" for number in range(5)}
    assert {record.request_id for record in visitor.records} == ids


def test_the_site_shows_no_tracebacks() -> None:
    site = public_site(Served([], ""), lambda: True, {}, door(Clock()), Mint(), no_calls, Clock())
    assert not site.displayTracebacks
    assert not site.noisy


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing?api_key=x"])
def test_head_is_answered_as_get_without_the_body(visitor: Visitor, path: str) -> None:
    answer, whole = visitor.fetch(path, "HEAD"), visitor.fetch(path)
    assert answer.body == b""
    assert answer.status == whole.status
    assert answer.headers["Content-Length"] == str(len(whole.body))


@pytest.mark.parametrize("method", ["POST", "BREW"])
def test_a_wrong_method_is_refused_and_the_uri_not_quoted(visitor: Visitor, method: str) -> None:
    answer = visitor.fetch("/healthz?api_key=secret", method)
    assert answer.status == 405
    assert json.loads(answer.body)["error"]["code"] == "method_not_allowed"
    assert b"secret" not in answer.body


def test_no_answer_names_its_software(visitor: Visitor) -> None:
    assert "Server" not in visitor.fetch("/").headers


def test_all_paths_are_below_the_base_path(visitor: Visitor) -> None:
    visitor.base_path = "/voice/relay"
    assert visitor.fetch("/voice/relay/healthz").body == b"alive\n"
    assert b"http://relay.test:8080/voice/relay/v1" in visitor.fetch("/voice/relay/").body
    assert visitor.fetch("/voice/relay/v1/realtime/calls").status == 501
    for path in ("/", "/healthz", "/voice", "/voice/other"):
        assert visitor.fetch(path).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_base_path_itself_is_the_page_behind_its_slash(visitor: Visitor, method: str) -> None:
    visitor.base_path = "/voice"
    page = visitor.fetch("/voice/", method)
    assert page.status == 200
    bare = visitor.fetch("/voice", method)
    assert (bare.status, bare.body) == (200, page.body)
    assert visitor.fetch("/voice", "POST").status == 405


@pytest.mark.parametrize(("proto", "scheme"), [("https", "https"), ("http", "http")])
@pytest.mark.parametrize("trusted", [True, False])
def test_the_welcome_names_the_scheme_that_the_client_came_by(
    proto: str, scheme: str, trusted: bool
) -> None:
    world = World(Settings(trusted_proxies=("127.0.0.1",) if trusted else ()))
    line = world.accept()
    fields = f"Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: {proto}"
    line.deliver(f"GET / HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    expected = scheme if trusted else "http"
    assert f'base_url="{expected}://localhost/v1"'.encode() in line.take()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("realtime-client.js", "text/javascript; charset=utf-8"),
        ("realtime-client.d.ts", "text/plain; charset=utf-8"),
    ],
)
def test_the_browsers_client_is_served_as_it_is(name: str, kind: str) -> None:
    file = resources.files("relay.web").joinpath("static", name)
    visitor = Visitor()
    answer = visitor.fetch(f"/{name}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body == file.read_bytes()
    assert visitor.fetch(f"/{name}", "HEAD").headers["Content-Length"] == str(len(answer.body))
    assert visitor.fetch(f"/{name}", "POST").status == 405
    for other in ("/package.json", "/static/realtime-client.js", "/%2e%2e/page.py"):
        assert visitor.fetch(other).status == 404
