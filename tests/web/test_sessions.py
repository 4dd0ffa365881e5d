"""The pages of open sessions on the admin listener, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from desk import Answer, Desk

from relay import Grant, Request
from relay.web import overview as module


def by_key(request: Request) -> Grant:
    """The credential is the subject."""
    return Grant(request.credential)


@pytest.fixture
def desk() -> Desk:
    return Desk(options={"admit": by_key})


def enter(desk: Desk, subject: str, model: str = "m") -> Any:
    return desk.world.open(
        headers={"Authorization": f"Bearer {subject}"}, path=f"/v1/realtime?model={model}"
    )


def listed(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200
    found: list[dict[str, Any]] = json.loads(answer.body)["sessions"]
    return found


def test_the_list_tells_each_session_oldest_first(desk: Desk) -> None:
    for subject in "abc":
        enter(desk, subject)
        desk.world.advance(0.1)
    answer = desk.ask("/sessions")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert [each["subject"] for each in listed(answer)] == ["a", "b", "c"]
    first = listed(answer)[0]
    assert first["model"] == "m"
    assert first["state"] == "open"
    assert first["down"]["messages"] == 1
    assert first["seconds"] == pytest.approx(0.3, abs=0.05)
    assert first["id"].startswith("req_")
    assert json.loads(desk.ask(f"/sessions/{first['id']}").body)["subject"] == "a"


def test_the_list_is_filtered(desk: Desk) -> None:
    enter(desk, "a", "m1")
    enter(desk, "b", "m2")
    assert [each["subject"] for each in listed(desk.ask("/sessions?model=m2"))] == ["b"]
    assert listed(desk.ask("/sessions?subject=a&model=m2")) == []
    assert listed(desk.ask("/sessions?subject=")) == []
    answer = desk.ask("/sessions?owner=a")
    assert (answer.status, answer.code) == (400, "bad_request")


def test_a_long_list_comes_in_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for subject in "abc":
        enter(desk, subject)
    first = json.loads(desk.ask("/sessions").body)
    assert (first["total"], len(first["sessions"]), first["next_offset"]) == (3, 2, 2)
    rest = json.loads(desk.ask("/sessions?offset=2").body)
    assert (rest["total"], len(rest["sessions"]), rest["next_offset"]) == (3, 1, None)
    for wrong in ("offset=-1", "offset=1&offset=2", "subject=a&subject=b"):
        assert desk.ask(f"/sessions?{wrong}").code == "bad_request"


def test_one_session_is_ended(desk: Desk) -> None:
    downstream, upstream = enter(desk, "a")
    desk.world.advance(0.1)
    enter(desk, "a")
    [one, _] = listed(desk.ask("/sessions"))
    answer = desk.ask(f"/sessions/{one['id']}", "DELETE")
    assert (answer.status, json.loads(answer.body)) == (202, {"ended": 1})
    desk.world.settle(downstream, upstream)
    desk.world.advance(5)
    assert downstream.close[0] == 1008
    assert desk.world.factory.active_sessions == 1
    answer = desk.ask(f"/sessions/{one['id']}", "DELETE")
    assert (answer.status, answer.code) == (404, "not_found")


def test_all_sessions_of_a_subject_are_ended(desk: Desk) -> None:
    pairs = [enter(desk, "a") for _ in range(3)]
    enter(desk, "b")
    answer = desk.ask("/sessions?subject=a", "DELETE")
    assert (answer.status, json.loads(answer.body)) == (202, {"ended": 3})
    desk.world.advance(0.1)
    for pair in pairs:
        desk.world.settle(*pair)
    desk.world.advance(5)
    assert [each["subject"] for each in listed(desk.ask("/sessions"))] == ["b"]


@pytest.mark.parametrize(
    "path",
    [
        "/sessions",
        "/sessions?subject=",
        "/sessions?model=m",
        "/sessions?subject=a&subject=b",
        "/sessions?subject=a&model=m",
        "/sessions?subject=a&force=1",
        "/sessions/req_none?subject=a",
    ],
)
def test_sessions_do_not_end_without_a_subject(desk: Desk, path: str) -> None:
    enter(desk, "a")
    answer = desk.ask(path, "DELETE")
    assert (answer.status, answer.code) == (400, "bad_request")
    assert desk.world.factory.active_sessions == 1


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/sessions/req_none", "GET", 404),
        ("/sessions/a/b", "GET", 404),
        ("/sessions/", "GET", 200),
        ("/sessions", "HEAD", 200),
        ("/sessions", "POST", 405),
        ("/sessions/req_none", "PUT", 405),
    ],
)
def test_what_else_is_asked_is_answered(desk: Desk, path: str, method: str, status: int) -> None:
    assert desk.ask(path, method).status == status


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_other_machine_sees_or_ends_sessions(method: str) -> None:
    desk = Desk(options={"admit": by_key}, is_public=True)
    enter(desk, "a")
    answer = desk.ask("/sessions?subject=a", method)
    assert (answer.status, answer.code) == (403, "unauthorized")
    assert desk.world.factory.active_sessions == 1


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://app.example"])
def test_no_page_of_another_origin_ends_sessions(desk: Desk, origin: str) -> None:
    enter(desk, "a")
    assert desk.ask("/sessions?subject=a", "DELETE", Origin=origin).status == 403
    assert desk.world.factory.active_sessions == 1
