"""Calls that the relay listens to, because somebody has to be held to something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from downstream.test_calls import (
    ANSWER,
    CALLS,
    JSON,
    KEY,
    LIVE,
    NOW,
    OFFER,
    Calls,
    calls,
    code_of,
    parts_of,
    told,
)

from relay import Grant, GrantLimits, Limits, Policy, Settings
from relay.testing.peers import Line, Peer

CREATED = '{"type":"session.created","session":{"id":"sess_1"}}'
HANGUP = f"POST {CALLS}/rtc_1/hangup HTTP/1.1"


def done(tokens: int) -> str:
    usage = {"input_tokens": tokens}
    return json.dumps({"type": "response.done", "response": {"id": "r", "usage": usage}})


def held(tokens: int = 100, **more: Any) -> Calls:
    """A relay whose callers have a budget."""
    grant = Grant("ann", GrantLimits(session_tokens=tokens, **more.pop("own", {})))
    return calls(options={"admit": lambda request: grant}, **more)


def heard(world: Calls) -> tuple[Line, Peer]:
    """A client's line, and the sideband of its call, which the relay has joined."""
    line = world.post()
    world.places()
    assert line.sent == b"", "the client waits until the relay listens"
    sideband = world.answering()
    sideband.send(CREATED)
    return line, sideband


def hung_up(world: Calls, status: int = 200) -> bool:
    """Whether the relay asks for the end of the call, which it gets."""
    return bool(world.answers(status, "")["first"] == HANGUP)


def test_the_relay_listens_to_the_call_of_who_has_a_budget() -> None:
    world = held()
    line = world.post()
    world.places()
    first, headers, _ = parts_of(sideband := world.connected())
    assert first == "GET /v1/realtime?call_id=rtc_1 HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert line.sent == b""
    assert world.factory.active_holds == 1
    sideband.lose()


def test_a_call_that_is_heard_is_a_session() -> None:
    world = held()
    line, sideband = heard(world)
    assert told(line)[0] == 201
    assert world.factory.active_sessions == 1
    (record,) = world.listener.openings
    assert (record.outcome, record.path, record.subject) == ("opened", CALLS, "ann")
    assert [attempt.stage for attempt in record.attempts] == ["response", "first_event"]
    line.lose()
    sideband.send(done(60))
    world.advance(0.1)
    assert world.factory.active_sessions == 1, "a call outlives the request"
    sideband.send_close(1000)
    sideband.read()
    sideband.line.lose()
    assert hung_up(world, 404)
    (end,) = world.listener.ends
    assert (end.close_code, end.closed_by, end.tokens["input"]) == (1000, "upstream", 60)
    assert world.is_clean()


def test_a_call_whose_budget_is_used_up_is_hung_up() -> None:
    world = held()
    _, sideband = heard(world)
    sideband.send(done(60))
    sideband.send(done(60))
    world.advance(0.1)
    sideband.read()
    assert sideband.close is not None
    assert world.factory.active_sessions == 1, "until the call has ended"
    sideband.line.lose()
    assert hung_up(world)
    (end,) = world.listener.ends
    assert (end.budget, end.closed_by) == ("session_tokens", "relay")
    assert world.factory.active_sessions == 0


def test_a_call_is_hung_up_when_the_relay_can_hear_it_no_more() -> None:
    world = held()
    _, sideband = heard(world)
    sideband.line.reset()
    assert hung_up(world)
    assert [end.closed_by for end in world.listener.ends] == ["upstream"]


@pytest.mark.parametrize(
    ("answer", "seconds", "refusal"),
    [
        (b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", 0.1, (502, "upstream_refused")),
        (b"", Settings().hold_seconds + 0.1, (504, "upstream_timeout")),
    ],
)
def test_a_call_that_cannot_be_heard_is_refused_and_hung_up(
    answer: bytes, seconds: float, refusal: tuple[int, str]
) -> None:
    world = held()
    line = world.post()
    world.places()
    sideband = world.connected()
    sideband.deliver(answer)
    world.advance(seconds)
    assert code_of(line) == refusal
    assert hung_up(world)
    assert world.factory.active_sessions == 0


def test_a_client_that_leaves_before_the_relay_listens_has_no_call() -> None:
    world = held()
    line = world.post()
    world.places()
    sideband = world.connected()
    line.lose()
    assert sideband.lost is not None
    assert hung_up(world)
    assert [record.outcome for record in world.listener.holds] == ["left"]
    assert world.is_clean()


def test_a_call_that_is_heard_counts_as_its_subjects_session() -> None:
    world = held(settings=Settings(limits=Limits(subject_sessions=1)))
    _, sideband = heard(world)
    assert code_of(world.post()) == (429, "too_many_sessions")
    sideband.line.lose()
    assert hung_up(world)
    world.post()
    assert world.places()["first"].startswith("POST ")


def test_the_calls_of_who_is_revoked_are_hung_up() -> None:
    world = held()
    _, sideband = heard(world)
    world.factory.handles.revoke("ann")
    world.advance(0.1)
    sideband.read()
    sideband.line.lose()
    assert hung_up(world)
    assert world.factory.active_sessions == 0


def test_a_drain_hangs_up_and_waits_for_that() -> None:
    world = held(settings=Settings(drain_delay_seconds=0.0, drain_seconds=2.0))
    line, sideband = heard(world)
    line.lose()
    over: list[None] = []
    world.factory.drain().addCallback(over.append)
    world.advance(1.9)
    sideband.read()
    sideband.line.lose()
    assert over == []
    assert hung_up(world)
    assert over == [None]


def test_a_relay_that_is_cut_waits_for_no_hang_up() -> None:
    world = held()
    line, sideband = heard(world)
    line.lose()
    world.factory.abort()
    world.advance(0.1)
    assert sideband.line.lost is not None
    assert world.factory.active_sessions == 0
    assert hung_up(world), "it is asked for all the same"


def test_silence_of_the_service_is_no_sign_of_an_idle_client() -> None:
    world = held(own={"idle_seconds": 5.0})
    _, sideband = heard(world)
    for _ in range(20):
        world.advance(1)
        sideband.read()  # which answers Pings
    assert world.factory.active_sessions == 1


def test_a_call_whose_session_could_not_be_made_counts_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = held(settings=Settings(limits=Limits(subject_sessions=1)))
    with monkeypatch.context() as patch:
        patch.setattr("relay.downstream.hold.Session", lambda *_: 1 / 0)
        line, sideband = heard(world)
    assert code_of(line) == (500, "internal_error")
    assert sideband.line.lost is not None
    assert hung_up(world)
    world.post()
    assert world.factory.active_holds == 1


def test_a_short_call_that_its_client_has_ended_is_no_churn() -> None:
    world = held(settings=Settings(limits=Limits(short_sessions=1)))
    for _ in range(3):
        line, sideband = heard(world)
        assert told(line)[0] == 201
        sideband.send_close(1000)
        sideband.read()
        sideband.line.lose()
        assert hung_up(world, 404)


def test_nothing_is_said_to_a_call() -> None:
    policy = Policy(force={"instructions": "Be kind."}, default={"max_output_tokens": 9})
    grant = Grant("ann", GrantLimits(session_tokens=9), policy=policy)
    world = calls(options={"admit": lambda request: grant})
    _, sideband = heard(world)
    world.advance(1)
    sideband.read()
    assert sideband.received == [], "it was set up with that, and its client may change the rest"


@pytest.fixture
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW)


@pytest.mark.usefixtures("_now")
@pytest.mark.parametrize("kind", ["call", "live", "sip"])
def test_a_call_is_hung_up_when_its_grant_ends(kind: str) -> None:
    grant = Grant("ann", expires=NOW + 30, end_on_expiry=True)
    world = calls(options={"admit": lambda request: grant})
    place = f"{LIVE}/live_1" if kind == "live" else f"{CALLS}/rtc_1"
    joined = f"{place}/attach" if kind == "live" else "/v1/realtime?call_id=rtc_1"
    if kind == "call":
        world.post()
        world.places()
    elif kind == "live":
        offer = {"session": {"model": "m"}, "transport": {"type": "webrtc", "sdp": OFFER}}
        world.post(json.dumps(offer), JSON, LIVE)
        answer = {"session": {"id": "live_1"}, "transport": {"type": "webrtc", "sdp": ANSWER}}
        world.answers(201, json.dumps(answer))
    else:
        world.post(b"{}", JSON, f"{place}/accept")
        world.answers(200, "")
    line = world.connected()
    assert line.sent.split(b" HTTP/")[0] == f"GET {joined}".encode()
    sideband = world.answering(line)
    sideband.send(CREATED)
    assert world.factory.active_sessions == 1
    world.advance(30.1)
    sideband.read()
    sideband.line.lose()
    assert world.answers(200, "")["first"] == f"POST {place}/hangup HTTP/1.1"
    assert world.factory.active_sessions == 0


def test_what_a_recorded_call_tells_is_recorded(tmp_path: Path) -> None:
    settings = evolve(Settings(), record=str(tmp_path))
    world = calls(settings=settings)
    _, sideband = heard(world)
    sideband.send(done(60))
    world.advance(0.1)
    sideband.line.lose()
    assert hung_up(world)
    world.factory.recordings.flush(5)
    (file,) = tmp_path.iterdir()
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert [row.get("type") for row in rows if row.get("from") == "upstream"] == [
        "session.created", "response.done",
    ]  # fmt: skip


def test_who_asks_for_nothing_of_the_kind_is_not_listened_to() -> None:
    world = calls()
    line = world.post()
    world.places()
    assert told(line)[0] == 201
    assert len(world.reactor.tcpClients) == 1
