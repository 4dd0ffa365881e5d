"""Plain requests in memory: what a page may read of the answers, and the records they leave."""

from __future__ import annotations

import pytest
from desk import Answer
from memory import World
from twisted.internet.protocol import Factory, Protocol

from relay import AnsweredRecord, Metrics, RelayListener, Settings
from relay.testing.reactor import THERE

PAGE = "http://localhost:3000"


def ask(world: World, line: str, *fields: str) -> Answer:
    far = world.accept()
    far.deliver("\r\n".join([f"{line} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode())
    raw = far.take()
    far.lose()
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Answer(int(first.split()[1]), {name: value for name, _, value in pairs}, rest)


@pytest.fixture
def world() -> World:
    return World()


EVERY = [
    ("GET /", 200),
    ("GET /healthz", 200),
    ("GET /readyz", 200),
    ("POST /healthz", 405),
    ("GET /nothing", 404),
    ("POST /v1/realtime/calls", 400),
    ("POST /v1/realtime/sessions", 501),
    ("GET /v1/realtime", 426),
    ("POST /v1/realtime", 405),
    ("OPTIONS /v1/realtime", 405),
    ("OPTIONS /nothing", 404),
]


@pytest.mark.parametrize(("line", "status"), EVERY)
def test_an_allowed_page_can_read_every_plain_answer(world: World, line: str, status: int) -> None:
    answer = ask(world, line, f"Origin: {PAGE}")
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers["X-Request-Id"].startswith("req_")


BAD = [
    (("Content-Length: 999999",), 413),
    (("Transfer-Encoding: chunked",), 400),
    (("Upgrade: websocket",), 404),
]


@pytest.mark.parametrize(("fields", "status"), BAD)
def test_an_allowed_page_can_read_a_refusal_before_any_page(
    world: World, fields: tuple[str, ...], status: int
) -> None:
    answer = ask(world, "POST /nothing", f"Origin: {PAGE}", *fields)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, PAGE)


def test_an_allowed_page_can_read_that_its_body_came_too_slowly(world: World) -> None:
    line = world.accept()
    fields = f"Host: localhost\r\nOrigin: {PAGE}\r\nContent-Length: 5\r\n\r\n"
    line.deliver(f"POST / HTTP/1.1\r\n{fields}".encode())
    world.advance(11)
    answer = line.take()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert f"Access-Control-Allow-Origin: {PAGE}\r\n".encode() in answer


PATHS = ["/", "/healthz", "/v1/realtime", "/v1/realtime/calls", "/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered_on_every_path(world: World, path: str) -> None:
    answer = ask(
        world,
        f"OPTIONS {path}",
        f"Origin: {PAGE}",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type,x-openai-agents-sdk",
        "Access-Control-Request-Private-Network: true",
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert "x-openai-agents-sdk" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("line", ["GET /", "OPTIONS /v1/realtime/calls", "GET /v1/realtime"])
def test_a_page_of_another_origin_is_refused_in_words_that_it_cannot_read(
    world: World, line: str
) -> None:
    preflight = "Access-Control-Request-Method: POST"
    answer = ask(world, line, "Origin: https://evil.test", preflight)
    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    (record,) = world.listener.holds
    assert record.origin == "https://evil.test"
    assert record.detail == "to allow it, add 'https://evil.test' to origins"


@pytest.mark.parametrize("base", ["", "/base"])
def test_a_probe_of_a_balancer_needs_no_host(base: str) -> None:
    world = World(settings=Settings(base_path=base))
    for path, status in [("/readyz", 200), ("/healthz", 200), ("/", 400), ("/v1/realtime", 400)]:
        far = world.accept()
        far.deliver(f"GET {base}{path} HTTP/1.0\r\n\r\n".encode())
        assert int(far.take().split()[1]) == status, path
    assert world.listener.holds[0].detail == "Send one valid Host header."


def test_a_program_gets_no_cors_headers(world: World) -> None:
    answer = ask(world, "GET /")
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("line", ["GET /metrics", "GET /readyz", "GET /nothing"])
def test_no_page_can_read_what_the_admin_listener_answers(line: str) -> None:
    metrics = Metrics()
    world = World(options={"listeners": [metrics]})
    far = world.wire(world.factory.admin(metrics).buildProtocol(THERE))
    far.deliver(f"{line} HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\n\r\n".encode())
    assert b"Access-Control" not in far.take()


# -- records -------------------------------------------------------------------------------


def test_a_plain_request_leaves_one_record_without_its_query(world: World) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = ask(
        world,
        "GET /nothing?api_key=secret",
        f"Origin: {PAGE}",
        f"traceparent: 00-{trace}-00f067aa0ba902b7-01",
    )
    (record,) = world.listener.answers
    assert record == AnsweredRecord(
        answer.headers["X-Request-Id"], "127.0.0.1", trace, PAGE, "GET", "/nothing", 404
    )
    assert record.request_id == answer.error["request_id"]
    assert world.listener.holds == []


def test_a_record_repeats_only_the_beginning_of_what_is_very_long(world: World) -> None:
    ask(world, f"{'M' * 300} /{'x' * 3000}")
    (record,) = world.listener.answers
    assert record.method == "M" * 200 + "…"
    assert record.path == "/" + "x" * 199 + "…"


def test_a_refusals_record_has_the_method_and_path_that_were_asked(world: World) -> None:
    ask(world, "PUT /v1/realtime?api_key=secret")
    (record,) = world.listener.holds
    assert (record.method, record.path) == ("PUT", "/v1/realtime")
    assert record.outcome == "method_not_allowed"


def test_what_the_hosts_site_answers_leaves_no_record() -> None:
    world = World(options={"site": Factory.forProtocol(Protocol)})
    world.accept().deliver(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (world.listener.answers, world.listener.holds) == ([], [])


def test_a_listener_that_fails_at_an_answer_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing(RelayListener):
        def answered(self, record: AnsweredRecord) -> None:
            raise RuntimeError("of the listener")

    told: list[object] = []
    monkeypatch.setattr("relay.lifecycle.register._log.failure", lambda *a, **k: told.append(k))
    answer = ask(World(options={"listeners": [Failing()]}), "GET /healthz")
    assert answer.status == 200
    assert told == [{"id": answer.headers["X-Request-Id"]}]
