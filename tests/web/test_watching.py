"""The events of one session on the admin listener, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from desk import Desk
from web.test_dashboard import events

from relay import Settings
from relay.config.policy import PolicyTable
from relay.session import watch as session_watch
from relay.testing.peers import Line, Peer
from relay.testing.sockets import ROOM
from relay.web import watchers, watching


class Seat:
    """A desk with one open session, and one who watches it."""

    def __init__(self, **settings: Any) -> None:
        self.desk = Desk(settings=Settings(**settings))
        self.downstream, self.upstream = self.desk.world.open()
        self.line = self.watch()

    @property
    def id(self) -> str:
        (handle,) = self.desk.world.factory.handles.find()
        return handle.hold.request_id

    def watch(self) -> Line:
        line = self.desk.connect()
        line.deliver(f"GET /sessions/{self.id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return line

    def cross(self, *kinds: str) -> None:
        for kind in kinds:
            self.downstream.send(json.dumps({"type": kind}))
            self.upstream.read()
        self.desk.world.advance(0.2)

    def told(self) -> list[dict[str, Any]]:
        return events(self.line.take())

    def end(self, peer: Peer) -> None:
        peer.send_close(4001)
        self.desk.world.settle(self.downstream, self.upstream)
        self.desk.world.advance(5)


def test_each_message_that_crosses_is_an_event_and_the_end_is_the_last() -> None:
    seat = Seat()
    head, _, _ = seat.line.sent.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Type: text/event-stream\r\n" in head
    assert b"Cache-Control: no-store\r\n" in head
    assert b"Server:" not in head
    assert seat.told() == [{"watch": "types"}]
    seat.cross("session.update")
    seat.upstream.send('{"type":"session.updated"}')
    seat.end(seat.downstream)
    first, second, closed = seat.told()
    assert first.pop("at") == pytest.approx(0, abs=0.1)
    assert first == {"number": 1, "from": "client", "type": "session.update", "bytes": 26}
    assert (second["from"], second["type"]) == ("upstream", "session.updated")
    assert closed["closed"].pop("seconds") < 5
    assert closed == {"closed": {"code": 4001, "by": "client"}}
    assert seat.line.ended
    assert seat.desk.world.is_clean()


def test_payloads_are_told_only_where_the_settings_say_so() -> None:
    seat = Seat(watch="payload")
    assert seat.told() == [{"watch": "payload"}]
    seat.cross("a")
    seat.downstream.send("x " * 20_000)
    seat.desk.world.settle(seat.upstream)
    seat.upstream.send(b"\xff\x00")
    seat.desk.world.advance(0.2)
    whole, cut, binary = seat.told()
    assert (whole["payload"], whole["cut"]) == ('{"type": "a"}', False)
    assert (len(cut["payload"]), cut["cut"], cut["bytes"]) == (16384, True, 40_000)
    assert (binary["payload"], binary["cut"]) == (None, False)


def test_a_reload_of_the_settings_holds_for_who_begins_to_watch_from_then_on() -> None:
    seat = Seat(watch="payload")
    factory = seat.desk.world.factory
    factory.configure([seat.desk.world.upstream], settings=Settings())
    line = seat.watch()
    seat.cross("a")
    first, crossed = events(line.take())
    assert first == {"watch": "types"}
    assert "payload" not in crossed
    assert seat.told()[-1]["payload"] == '{"type": "a"}'


def test_instructions_that_a_policy_hides_are_in_no_event() -> None:
    table = PolicyTable(force={"instructions": "Speak like a pirate."})
    seat = Seat(watch="payload", policy=table)
    seat.upstream.read()
    seat.cross("input_audio_buffer.append")
    seat.downstream.send('{"type":"session.update","session":{"instructions":"Be mine."}}')
    seat.desk.world.advance(0.2)
    told = json.dumps(seat.told())
    assert "Be mine." in told
    assert "pirate" not in told


def test_what_does_not_fit_is_told_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watch, "MOST_MESSAGES", 2)
    seat = Seat()
    for _ in range(5):
        seat.downstream.send("x")
    seat.desk.world.advance(0.2)
    seat.cross("a")
    _, *told = seat.told()
    assert [each.get("number", each.get("missed")) for each in told] == [1, 2, 3, 6]
    assert told[2] == {"missed": 3}


def test_who_does_not_read_misses_events_and_is_told_how_many() -> None:
    seat = Seat()
    seat.line.transport.bufferSize = 1
    seat.line.take()
    seat.line.socket.room = 0
    seat.cross("a", "b")  # one batch is under way
    seat.cross("c")
    seat.cross("d", "e")
    seat.line.socket.room = ROOM
    assert [each["type"] for each in seat.told()] == ["a", "b"]
    seat.cross("f")
    missed, last = seat.told()
    assert missed == {"missed": 3}
    assert (last["number"], last["type"]) == (6, "f")


def test_who_does_not_read_for_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 3)
    seat = Seat()
    seat.line.transport.bufferSize = 1
    seat.line.take()
    seat.line.socket.room = 0
    for _ in range(4):
        seat.cross("a")
    assert not seat.line.disconnecting
    seat.cross("a")
    seat.line.socket.room = ROOM
    seat.line.take()
    assert seat.line.ended
    assert seat.desk.world.factory.active_sessions == 1


def test_who_does_not_read_is_told_the_end_all_the_same() -> None:
    seat = Seat()
    seat.line.transport.bufferSize = 1
    seat.line.take()
    seat.line.socket.room = 0
    seat.cross("a")
    seat.cross("b")
    seat.end(seat.downstream)
    seat.line.socket.room = ROOM
    _, missed, closed = seat.told()
    assert missed == {"missed": 1}
    assert closed["closed"]["by"] == "client"
    assert seat.line.ended


def test_when_who_watches_leaves_nothing_is_looked_at_any_more() -> None:
    seat = Seat()
    (session,) = seat.desk.world.factory._register.sessions
    seat.cross("a")
    seat.line.lose()
    vital: Any = session
    assert vital._watch._places == []
    seat.cross("b")
    assert len(seat.upstream.received) == 2


def test_few_may_watch_at_once_the_relay_and_its_sessions_together() -> None:
    seat = Seat()
    lines = [seat.watch() for _ in range(watchers.MOST - 1)]
    for path in ("/events", f"/sessions/{seat.id}/events"):
        answer = seat.desk.ask(path)
        assert (answer.status, answer.code) == (503, "relay_full")
    lines.pop().lose()
    assert events(seat.watch().take()) == [{"watch": "types"}]


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/sessions/req_none/events", "GET", 404, "not_found"),
        ("/sessions//events", "GET", 404, "not_found"),
        ("/sessions/{id}/events/", "GET", 404, "not_found"),
        ("/sessions/{id}/event", "GET", 404, "not_found"),
        ("/sessions/{id}/events?payload=1", "GET", 400, "bad_request"),
        ("/sessions/{id}/events", "POST", 405, "method_not_allowed"),
        ("/sessions/{id}/events", "DELETE", 405, "method_not_allowed"),
    ],
)
def test_what_else_is_asked_is_refused(path: str, method: str, status: int, code: str) -> None:
    seat = Seat()
    answer = seat.desk.ask(path.format(id=seat.id), method)
    assert (answer.status, answer.code) == (status, code)
    assert seat.desk.world.factory.active_sessions == 1


def test_head_is_refused_without_a_body() -> None:
    seat = Seat()
    answer = seat.desk.ask(f"/sessions/{seat.id}/events", "HEAD")
    assert (answer.status, answer.body) == (405, b"")


def test_no_other_machine_watches() -> None:
    desk = Desk(is_public=True)
    desk.world.open()
    (handle,) = desk.world.factory.handles.find()
    for id in (handle.hold.request_id, "req_none"):
        answer = desk.ask(f"/sessions/{id}/events")
        assert (answer.status, answer.code) == (403, "unauthorized")


def test_no_page_of_another_origin_watches() -> None:
    seat = Seat()
    path = f"/sessions/{seat.id}/events"
    assert seat.desk.ask(path, Origin="https://app.example").status == 403
    assert seat.desk.ask(path, host="app.example").status == 403


def test_of_the_request_that_began_the_session_nothing_is_told() -> None:
    seat = Seat(watch="payload")
    secret = "Bearer s3cret-canary"
    seat.desk.world.open(headers={"Authorization": secret, "Cookie": secret})
    ids = [each.hold.request_id for each in seat.desk.world.factory.handles.find()]
    lines = []
    for id in ids:
        line = seat.desk.connect()
        line.deliver(f"GET /sessions/{id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        lines.append(line)
    seat.cross("a")
    assert b"canary" not in b"".join(line.take() for line in lines)
