"""The dashboard's page and its events, in memory."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from desk import Desk
from memory import keyed
from twisted.logger import ILogObserver, LogEvent, Logger

from relay.rules.first_steps import FIRST
from relay.testing.peers import Line
from relay.testing.sockets import ROOM
from relay.web import watchers
from relay.web.static_files import DASHBOARD, POLICY

HTML = "text/html,application/xhtml+xml"


@pytest.fixture
def desk() -> Desk:
    return Desk()


def watch(desk: Desk, method: str = "GET") -> Line:
    line = desk.connect()
    line.deliver(f"{method} /events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return line


def events(raw: bytes) -> list[dict[str, Any]]:
    """What came, whatever the chunks."""
    return [
        json.loads(each[6:])
        for each in raw.split(b"\r\n")
        for each in each.split(b"\n\n")
        if each.startswith(b"data: ")
    ]


def told(desk: Desk) -> dict[str, Any]:
    """One event."""
    line = watch(desk)
    (event,) = events(line.take())
    line.lose()
    return event


# -- its pages -----------------------------------------------------------------------------


def test_a_browser_gets_the_page_and_all_others_the_names_of_the_paths(desk: Desk) -> None:
    page = desk.ask("/", Accept=HTML)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == POLICY
    assert b"<style" not in page.body
    assert b"style=" not in page.body
    text = desk.ask("/", Accept="*/*")
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    for path in ("/healthz", "/readyz", "/metrics", "/sessions", "/events", "/drain"):
        assert path.encode() in text.body


@pytest.mark.parametrize("name", DASHBOARD)
def test_its_files_are_on_the_admin_listener_only(desk: Desk, name: str) -> None:
    assert desk.ask(f"/{name}").status == 200
    public = desk.world.accept()
    public.deliver(f"GET /{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert public.take().startswith(b"HTTP/1.1 404 ")


# -- what it tells -------------------------------------------------------------------------


def test_it_tells_sessions_holds_traffic_and_how_long_they_took(desk: Desk) -> None:
    desk.world.open()
    desk.world.downstream()
    event = told(desk)
    assert (event["state"], event["sessions"], event["holds"]) == ("ready", 1, 1)
    assert event["messages"] == {"up": 0, "down": 1}
    assert event["bytes"]["down"] > 0
    assert len(event["hold"]) == len(event["first_audio"]) == len(event["buckets"]) + 1
    (session,) = event["open"]
    listed = json.loads(desk.ask("/sessions").body)["sessions"]
    assert [session["id"]] == [each["id"] for each in listed]
    assert session.keys() == listed[0].keys()


def test_what_ended_counts_on(desk: Desk) -> None:
    downstream = desk.world.downstream()
    desk.world.advance(0.2)
    upstream = desk.world.answering()
    upstream.send('{"type":"session.created"}')
    usage = {"input_tokens": 8, "output_tokens": 5}
    done = {"type": "response.done", "response": {"status": "completed", "usage": usage}}
    upstream.send(json.dumps(done))
    downstream.read()
    downstream.send_close()
    desk.world.settle(upstream, downstream)
    desk.world.advance(5)
    event = told(desk)
    assert (event["sessions"], event["open"]) == (0, [])
    assert event["messages"]["down"] == 2
    assert event["tokens"] == {"input": 8, "output": 5}
    assert sum(event["hold"]) == 1


def test_it_tells_why_an_upstream_is_left_alone_and_for_how_long(desk: Desk) -> None:
    for _ in range(5):
        desk.world.downstream()
        desk.world.connected().deliver(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    (upstream,) = told(desk)["upstreams"]
    assert upstream["breaker"] == "open"
    assert upstream["failure"]["code"] == "upstream_refused"
    assert upstream["next_try_seconds"] > 0
    assert upstream == json.loads(desk.ask("/readyz").body)["upstreams"][0]


def test_it_tells_the_last_refusals_with_what_to_do_and_no_secret() -> None:
    desk = Desk(options={"admit": keyed("right")})
    desk.world.downstream(headers={"Authorization": "Bearer wr0ng-key"}).read()
    desk.world.downstream(headers={"Authorization": "Bearer right"})
    desk.world.connected().deliver(b"HTTP/1.1 429 Wait\r\nContent-Length: 0\r\n\r\n")
    desk.world.downstream(headers={"Authorization": "Bearer right"}).line.lose()  # it just left
    desk.world.advance(2)
    event = told(desk)
    last, first = event["refused"]
    assert event["refusals"] == {"unauthorized": 1, "upstream_rate_limited": 1}
    assert (first["code"], first["status"], first["upstream"]) == ("unauthorized", 401, None)
    assert first["first"] == FIRST["unauthorized"]
    assert (last["upstream"], last["stage"]) == ("openai", "upgrade")
    assert (last["model"], last["subject"]) == ("m", "key-1")
    assert last["seconds_ago"] == pytest.approx(2, abs=0.1)
    assert "wr0ng-key" not in json.dumps(event)
    assert "right" not in json.dumps(event)


def test_it_keeps_the_last_fifty_refusals(desk: Desk) -> None:
    for _ in range(60):
        line = desk.world.accept()
        line.deliver(b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\n\r\n")
        line.lose()
    assert [each["number"] for each in told(desk)["refused"]] == [*range(60, 10, -1)]


def test_on_a_public_listener_it_tells_no_sessions_and_no_single_refusals() -> None:
    desk = Desk(is_public=True)
    desk.world.open()
    event = told(desk)
    assert event["sessions"] == 1
    assert event.keys().isdisjoint({"open", "refused"})


# -- its events ----------------------------------------------------------------------------


def test_an_event_comes_each_second_while_somebody_watches(desk: Desk) -> None:
    line = watch(desk)
    head, _, _ = line.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: text/event-stream\r\n" in head
    assert b"Server:" not in head
    desk.world.advance(3.5)
    assert len(events(line.take())) == 4
    line.lose()
    assert desk.world.is_clean(), "it costs nothing while nobody watches"


def test_few_may_watch_at_once(desk: Desk) -> None:
    lines = [watch(desk) for _ in range(watchers.MOST)]
    answer = desk.ask("/events")
    assert (answer.status, answer.code) == (503, "relay_full")
    lines.pop().lose()
    assert events(watch(desk).take())


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_events_are_only_got(desk: Desk, method: str) -> None:
    assert desk.ask("/events", method).status == 405


def test_who_does_not_read_misses_events_and_is_cut_at_last(desk: Desk) -> None:
    line = watch(desk)
    line.transport.bufferSize = 1
    line.take()
    line.socket.room = 0
    desk.world.advance(watchers.PATIENCE / 2)
    line.socket.room = ROOM
    assert len(events(line.take())) == 1, "nothing is kept for it"
    desk.world.advance(1.1)
    assert len(events(line.take())) == 1, "it reads again, and so it goes on"
    line.socket.room = 0
    desk.world.advance(watchers.PATIENCE + 15)
    assert line.lost is not None
    assert desk.world.is_clean()


def test_a_draining_relay_waits_for_nobody_who_watches(desk: Desk) -> None:
    desk.world.open()
    line = watch(desk)
    desk.world.factory.drain()
    desk.world.advance(1.1)
    assert [each["state"] for each in events(line.take())] == ["ready", "draining"]
    assert line.ended
    again = watch(desk)
    assert [each["state"] for each in events(again.take())] == ["draining"]
    assert again.ended


def test_an_error_in_an_event_is_not_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    line = watch(desk)
    line.take()
    monkeypatch.setattr(desk.world.factory, "gather", lambda: 1 / 0)
    logged: list[LogEvent] = []
    monkeypatch.setattr(watchers, "_log", Logger("x", observer=cast(ILogObserver, logged.append)))
    desk.world.advance(1.1)
    assert [event["log_failure"].type for event in logged] == [ZeroDivisionError]
    assert events(line.take()) == []
    monkeypatch.undo()
    desk.world.advance(1.1)
    assert len(events(line.take())) == 1
