"""The admin listener, in memory: its paths, and who may ask for them."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from desk import Desk
from prometheus_client.parser import text_string_to_metric_families as parse
from twisted.internet.task import Clock

from relay import Metrics, Settings, Upstream, UpstreamFacts, refuse
from relay.rules.refusals import KINDS
from relay.testing.listener import RecordingListener
from relay.testing.sockets import ROOM
from relay.upstreams.balancing import Standing


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- its paths -----------------------------------------------------------------------------


def test_healthz_is_200_in_every_state(desk: Desk) -> None:
    assert desk.ask("/healthz").body == b"alive\n"
    desk.world.open()
    desk.world.factory.drain()
    assert desk.ask("/healthz").status == 200


def test_readyz_is_200_until_the_drain(desk: Desk) -> None:
    answer = desk.ask("/readyz")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(answer.body)["state"] == "ready"
    desk.world.open()
    desk.world.factory.drain()
    answer = desk.ask("/readyz")
    assert answer.status == 503
    assert json.loads(answer.body)["state"] == "draining"


def test_readyz_is_503_from_the_beginning_of_the_delay() -> None:
    desk = Desk(Settings(drain_delay_seconds=5))
    desk.world.factory.drain()
    assert desk.ask("/readyz").status == 503
    public = desk.world.accept()
    public.deliver(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert public.take().startswith(b"HTTP/1.1 503 ")
    desk.world.open()
    assert desk.world.factory.active_sessions == 1, "it still accepts"


def test_readyz_does_not_depend_on_an_upstream_and_says_why_one_is_left_alone(desk: Desk) -> None:
    clock = Clock()
    openai, other, without = standings = [
        Standing(upstream, lambda: 0.5, clock.seconds, lambda: "2026-02-03T04:05:06Z")
        for upstream in (
            Upstream("ws://127.0.0.1:9000/", "openai"),
            Upstream("ws://127.0.0.1:9000/", "b"),
            Upstream("ws://127.0.0.1:9000/", "c", breaker=False),
        )
    ]
    facts = UpstreamFacts("openai", "upgrade", 401, "req_up")
    bad_key = refuse("upstream_unauthorized", upstream=facts)
    openai.failed(evolve(bad_key, said="incorrect_hostname: not for secret-model"), openai.begin())
    other.begin()
    without.failed(refuse("upstream_timeout"), without.begin())
    desk.world.factory.standings = standings
    clock.advance(2.5)
    answer = desk.ask("/readyz")
    assert answer.status == 200
    told = {
        "name": "openai",
        "breaker": "open",
        "sessions": 1,
        "failure": {
            "stage": "upgrade",
            "code": "upstream_unauthorized",
            "status": 401,
            "message": KINDS["upstream_unauthorized"].message,
            "cause": "The key is for another host, which it names; put that into url.",
            "error": None,
        },
        "since": "2026-02-03T04:05:06Z",
        "next_try_seconds": 7.5,
    }
    others = [
        {"name": "b", "breaker": "closed", "sessions": 1},
        {"name": "c", "breaker": "off", "sessions": 1},
    ]
    assert json.loads(answer.body)["upstreams"] == [told, *others]
    clock.advance(3600)
    told |= {"breaker": "half-open", "next_try_seconds": 0.0}
    assert json.loads(desk.ask("/readyz").body)["upstreams"] == [told, *others]


def test_metrics_are_in_prometheus_text_format(desk: Desk) -> None:
    desk.world.open()
    answer = desk.ask("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    metrics = {each.name: each for each in parse(answer.body.decode())}
    assert metrics["relay_sessions_active"].samples[0].value == 1


def test_post_drain_begins_a_drain(desk: Desk) -> None:
    desk.world.open()
    answer = desk.ask("/drain", "POST")
    assert (answer.status, answer.body) == (202, b"draining\n")
    assert not desk.world.factory.is_ready
    assert desk.ask("/drain", "POST").status == 202


def test_post_drain_calls_the_embedders_own_function() -> None:
    asked: list[bool] = []
    desk = Desk()
    desk.admin = desk.world.factory.admin(Metrics(), lambda: asked.append(True))
    desk.admin.set_public(False)
    assert desk.ask("/drain", "POST").status == 202
    assert asked == [True]
    assert desk.world.factory.is_ready


def test_post_drain_is_answered_before_the_end(desk: Desk) -> None:
    drained: list[None] = []
    line = desk.connect()
    line.socket.room = 0
    line.deliver(b"POST /drain HTTP/1.1\r\nHost: localhost\r\n\r\n")
    desk.world.factory.drain().addCallback(drained.append)
    assert drained == []
    line.socket.room = ROOM
    assert line.take().startswith(b"HTTP/1.1 202 ")
    line.lose()
    assert drained == [None]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_no_method_but_post_drains(desk: Desk, method: str) -> None:
    answer = desk.ask("/drain", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert desk.world.factory.is_ready


@pytest.mark.parametrize("path", ["/sessionss", "/v1/realtime?model=m"])
def test_any_other_admin_path_is_404(desk: Desk, path: str) -> None:
    answer = desk.ask(path)
    assert (answer.status, answer.code) == (404, "not_found")
    assert "/metrics" in json.loads(answer.body)["error"]["message"]


def test_the_admin_listener_opens_no_websocket(desk: Desk) -> None:
    answer = desk.ask("/v1/realtime?model=m", Upgrade="websocket", Connection="Upgrade")
    assert (answer.status, answer.code) == (404, "not_found")
    assert not desk.world.reactor.tcpClients


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_other_admin_paths_take_only_get_and_head(desk: Desk, path: str) -> None:
    assert desk.ask(path, "POST").status == 405
    whole, head = desk.ask(path), desk.ask(path, "HEAD")
    assert head.body == b""
    sizes = [int(each.headers["Content-Length"]) for each in (head, whole)]
    # The process's own figures in the metrics may have another digit a moment later.
    assert abs(sizes[0] - sizes[1]) <= (50 if path == "/metrics" else 0)
    assert min(sizes) > 0


# -- who may ask ---------------------------------------------------------------------------

PATHS = [
    ("/", "GET"),
    ("/events", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/drain", "POST"),
]


@pytest.mark.parametrize(("path", "method"), PATHS)
@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:9090", "localhost.evil.example"])
def test_on_loopback_the_host_must_be_loopback(
    desk: Desk, path: str, method: str, host: str
) -> None:
    """Else a page could have its own name resolve to this machine, and ask."""
    answer = desk.ask(path, method, host)
    assert (answer.status, answer.code) == (403, "host_not_allowed")
    assert desk.world.factory.is_ready


@pytest.mark.parametrize(("path", "method"), PATHS)
def test_on_loopback_the_host_may_be_one_of_the_hosts(path: str, method: str) -> None:
    desk = Desk(Settings(hosts=("admin.example",)))
    assert desk.ask(path, method, "admin.example").status in (200, 202)


@pytest.mark.parametrize("is_public", [True, False])
@pytest.mark.parametrize(("path", "method"), PATHS)
def test_a_page_must_be_of_an_allowed_origin(path: str, method: str, is_public: bool) -> None:
    desk = Desk(is_public=is_public)
    answer = desk.ask(path, method, Origin="https://evil.example")
    assert (answer.status, answer.code) == (403, "origin_not_allowed")
    assert desk.world.factory.is_ready
    assert desk.ask(path, method, Origin="http://localhost:3000").status != 404


PAGES = [
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://127.0.0.1:9090"},
    {"Origin": "https://localhost:9090"},
    {"Origin": "https://app.example"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site"},
]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("path", "method"), [("/drain", "POST"), ("/sessions/1", "DELETE")])
def test_no_page_of_another_origin_can_drain(page: dict[str, str], path: str, method: str) -> None:
    """Not one on loopback either, nor one of those that may use the relay."""
    heard = RecordingListener()
    desk = Desk(Settings(origins=("https://app.example",)), {"listeners": [heard]})
    answer = desk.ask(path, method, "localhost:9090", **page)
    assert (answer.status, answer.code) == (403, "origin_not_allowed")
    assert desk.world.factory.is_ready
    (record,) = heard.holds
    assert "own origin" in (record.detail or "")
    assert desk.ask("/metrics", "GET", "localhost:9090", **page).status == 200


@pytest.mark.parametrize("page", [{}, {"Origin": "http://localhost:9090"}])
def test_a_page_of_the_listeners_own_and_a_program_can_drain(page: dict[str, str]) -> None:
    desk = Desk()
    assert desk.ask("/drain", "POST", "localhost:9090", **page).status == 202
    assert not desk.world.factory.is_ready


def test_the_tokens_of_the_public_listener_are_not_asked_for() -> None:
    desk = Desk(options={"admit": lambda request: refuse("unauthorized")})
    assert desk.ask("/metrics").status == 200
    assert desk.ask("/metrics", host="evil.example").code == "host_not_allowed"


def test_on_a_public_listener_probes_are_answered_under_any_host() -> None:
    """An orchestrator asks a pod by its address."""
    desk = Desk(is_public=True)
    for path in ("/healthz", "/readyz"):
        for host in ("10.1.2.3:9090", "pod.example", "[fd00::1]:9090"):
            assert desk.ask(path, host=host).status == 200


def test_on_a_public_listener_metrics_need_an_address_or_an_allowed_host() -> None:
    """Prometheus has addresses; a page whose name resolves to this machine has a name."""
    desk = Desk(Settings(hosts=("relay.example",)), is_public=True)
    for host in ("10.1.2.3:9090", "[fd00::1]:9090", "localhost", "relay.example"):
        assert desk.ask("/metrics", host=host).status == 200
    for host in ("evil.example", "10.1.2.3.evil.example", "10.1.2.3:9090:1"):
        assert desk.ask("/metrics", host=host).status in (400, 403)


def test_on_a_public_listener_there_is_no_drain() -> None:
    desk = Desk(is_public=True)
    answer = desk.ask("/drain", "POST")
    assert (answer.status, answer.code) == (403, "unauthorized")
    assert desk.world.factory.is_ready


def test_an_admin_listener_counts_as_public_until_told_otherwise(desk: Desk) -> None:
    desk.admin = desk.world.factory.admin(Metrics())
    assert desk.ask("/drain", "POST").status == 403


def test_the_admin_listener_reads_heads_as_strictly_as_every_listener(desk: Desk) -> None:
    assert desk.ask("/healthz", X_Long="x" * 20000).code == "head_too_large"
    line = desk.connect()
    line.deliver(b"GET /healthz HTTP/1.1\r\n")
    desk.world.advance(10.1)
    assert line.take().startswith(b"HTTP/1.1 408 ")
