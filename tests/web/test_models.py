"""GET /v1/models in memory: what the settings name, for whom admit lets in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory import World
from twisted.internet.defer import Deferred

from relay import Grant, Limits, Request, Settings, Upstream, refuse
from relay.testing.peers import Line

FIRST = Upstream("ws://127.0.0.1:9000/", "first", models={"gpt-realtime": "x", "a/b c": "y"})
SECOND = Upstream("ws://127.0.0.1:9001/", "second", models={"gpt-realtime": "z", "mini": "mini"})
ALL = Upstream("ws://127.0.0.1:9002/", "all")

Told = tuple[int, dict[str, str], Any]


def ask(line: Line, path: str, method: str = "GET", *fields: str) -> None:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    line.deliver("\r\n".join(lines).encode())


def told(line: Line) -> Told:
    head, _, body = line.take().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (each.partition(": ") for each in lines)}
    return int(first.split()[1]), headers, json.loads(body) if body else None


def relay(admit: Any = None, **settings: Any) -> World:
    options = {"admit": admit} if admit else {}
    return World(Settings(**settings), upstreams=[FIRST, SECOND, ALL], options=options)


def fetch(world: World, path: str = "/v1/models", method: str = "GET", *fields: str) -> Told:
    line = world.accept()
    ask(line, path, method, *fields)
    return told(line)


def model(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


@pytest.mark.parametrize(
    "path", ["/v1/models", "/openai/v1/models", "/v1//models/", "/v1/models?x"]
)
def test_the_list_has_each_model_that_the_settings_name_once(path: str) -> None:
    status, headers, body = fetch(relay(), path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["Cache-Control"] == "no-store"
    assert body == {
        "object": "list",
        "data": [model("gpt-realtime", "first"), model("a/b c", "first"), model("mini", "second")],
    }


def test_a_relay_whose_upstreams_serve_every_model_names_none() -> None:
    assert fetch(World(upstreams=[ALL]))[2] == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("path", "name"),
    [("mini", "mini"), ("a/b%20c", "a/b c"), ("a%2Fb%20c", "a/b c"), ("mini?x=y", "mini")],
)
def test_one_model_is_told_by_its_name(path: str, name: str) -> None:
    status, _, body = fetch(relay(), f"/v1/models/{path}")
    assert (status, body["id"], body["object"]) == (200, name, "model")


@pytest.mark.parametrize("name", ["x", "first", "MINI", "mini/x"])
def test_a_model_that_is_not_named_is_404(name: str) -> None:
    status, _, body = fetch(relay(), f"/v1/models/{name}")
    assert (status, body["error"]["code"]) == (404, "not_found")
    assert "/v1/models" in body["error"]["message"]


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_models_cannot_be_changed(method: str) -> None:
    status, headers, body = fetch(relay(), "/v1/models/mini", method)
    assert (status, headers["Allow"]) == (405, "GET")
    assert body["error"]["code"] == "method_not_allowed"


def test_head_is_answered_without_the_body() -> None:
    world = relay()
    status, headers, body = fetch(world, method="HEAD")
    whole = fetch(world)[1]
    assert (status, body) == (200, None)
    assert headers["Content-Length"] == whole["Content-Length"]


def test_models_are_below_the_base_path() -> None:
    world = relay(base_path="/voice")
    assert fetch(world, "/voice/v1/models")[0] == 200
    assert fetch(world, "/v1/models")[0] == 404
    status, _, body = fetch(world, "/voice/v1/models/nothing")
    assert status == 404
    assert "/voice/v1/models " in body["error"]["message"]


# -- who may see them ----------------------------------------------------------------------


def by_token(request: Request) -> Any:
    return Grant() if request.credential == "good" else refuse("unauthorized")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/mini", "/v1/models/x"])
@pytest.mark.parametrize("fields", [(), ("Authorization: Bearer bad",)])
def test_only_who_may_have_a_session_may_see_the_models(path: str, fields: tuple[str, ...]) -> None:
    status, headers, body = fetch(relay(by_token), path, "GET", *fields)
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert "mini" not in json.dumps(body)


def test_who_may_have_a_session_may_see_the_models() -> None:
    world = relay(by_token)
    assert fetch(world, "/v1/models", "GET", "Authorization: Bearer good")[0] == 200
    (record,) = world.listener.answers
    assert (record.path, record.status) == ("/v1/models", 200)


@pytest.mark.parametrize("path", ["/openai/v1/models", "/openai/v1/models/mini", "/v1/models"])
def test_azures_header_has_the_credential_here_too(path: str) -> None:
    assert fetch(relay(by_token), path, "GET", "api-key: good")[0] == 200
    assert fetch(relay(by_token), path, "GET", "api-key: bad")[0] == 401


def test_a_page_can_read_that_it_may_not_see_the_models() -> None:
    status, headers, _ = fetch(relay(by_token), "/v1/models", "GET", "Origin: http://localhost:1")
    assert (status, headers["Access-Control-Allow-Origin"]) == (401, "http://localhost:1")


def test_asking_who_one_is_counts_for_the_address_as_a_hold_does() -> None:
    waiting: list[Deferred[Any]] = []

    def admit(request: Request) -> Deferred[Any]:
        waiting.append(Deferred())
        return waiting[-1]

    limits = Limits(address_holds=2, address_handshakes=5)
    world = relay(admit, limits=limits, trusted_proxies=("127.0.0.1",))
    away = "X-Forwarded-For: 192.0.2.1"
    lines = [world.accept() for _ in range(3)]
    for line in lines:
        ask(line, "/v1/models", "GET", away)
    assert len(waiting) == 2
    assert told(lines[2])[0] == 429
    waiting[0].callback(Grant())
    assert told(lines[0])[0] == 200
    lines[1].lose()
    for _ in range(2):
        ask(world.accept(), "/v1/models", "GET", away)
    assert len(waiting) == 4
    last = world.accept()
    ask(last, "/v1/models", "GET", away)
    status, _, body = told(last)
    assert (status, body["error"]["code"]) in ((429, "too_many_sessions"), (429, "rate_limited"))
    assert len(waiting) == 4


def test_admit_may_answer_later() -> None:
    asked: list[Deferred[Any]] = []

    def admit(request: Request) -> Deferred[Any]:
        asked.append(Deferred())
        return asked[-1]

    world = relay(admit)
    line = world.accept()
    ask(line, "/v1/models")
    assert line.take() == b""
    asked[0].callback(Grant())
    assert told(line)[0] == 200


def test_an_admit_that_does_not_answer_is_503_at_the_deadline_of_a_hold() -> None:
    world = relay(lambda request: Deferred(), hold_seconds=2)
    line = world.accept()
    ask(line, "/v1/models")
    world.advance(1.9)
    assert line.take() == b""
    world.advance(0.2)
    status, headers, body = told(line)
    assert (status, body["error"]["code"]) == (503, "authorizer_unavailable")
    assert headers["Retry-After"] == "5"


def test_a_client_that_does_not_wait_leaves_nothing() -> None:
    cancelled: list[object] = []
    world = relay(lambda request: Deferred(cancelled.append))
    line = world.accept()
    ask(line, "/v1/models")
    line.lose()
    assert len(cancelled) == 1
    assert world.listener.answers == []
    assert world.is_clean()


def test_an_admit_that_raises_is_503_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[object] = []
    monkeypatch.setattr("relay.admission.verdict._log.failure", lambda *a, **k: logged.append(a))

    def admit(request: Request) -> Grant:
        raise RuntimeError("of the host")

    status, _, body = fetch(relay(admit))
    assert (status, body["error"]["code"]) == (503, "authorizer_unavailable")
    assert "of the host" not in json.dumps(body)
    assert len(logged) == 1
