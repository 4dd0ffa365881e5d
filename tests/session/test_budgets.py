"""Budgets of tokens and seconds: what ends when the service has reported that one is used up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from attrs import evolve
from memory import World, last_words
from websockets.frames import Frame, Opcode

from relay import Grant, GrantLimits, Limits, Settings, Upstream
from relay.config.policy import PolicyTable
from relay.rules.budgets import DAY_SECONDS
from relay.session.splice import WHOLE
from relay.testing.peers import Peer

pytestmark = pytest.mark.usefixtures("plane")

NOON = 20_000 * DAY_SECONDS + DAY_SECONDS / 2
ASKS = ["realtime", "relay.notices"]
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"

Pair = tuple[Peer, Peer]


class Wall:
    """The machine's clock."""

    now = NOON


@pytest.fixture(autouse=True)
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr("relay.timing.clock.time", lambda: wall.now)
    return wall


def world_of(
    subject: str | None = "ann", own: Mapping[str, Any] = MappingProxyType({}), **limits: Any
) -> World:
    settings = Settings(limits=Limits(**limits), trusted_proxies=("127.0.0.1",))
    grant = Grant(subject, GrantLimits(**own))
    return World(settings=settings, options={"admit": lambda _: grant})


def done(tokens: int = 0, **fields: Any) -> str:
    usage = {"input_tokens": tokens, **fields}
    return json.dumps({"type": "response.done", "response": {"id": "r", "usage": usage}})


def transcribed(**usage: Any) -> str:
    return json.dumps({"type": TRANSCRIBED, "usage": usage})


def lasted(seconds: float, kind: str = "session.usage.updated") -> str:
    return json.dumps({"type": kind, "usage": {"seconds": seconds}})


def report(world: World, pair: Pair, *events: str) -> None:
    """The service reports, and both ends read."""
    for event in events:
        pair[1].send(event)
    world.advance(0.1)
    world.settle(*pair)


def code_of(downstream: Peer) -> int | None:
    return downstream.close and downstream.close[0]


def notices(downstream: Peer) -> list[dict[str, Any]]:
    events = [json.loads(each) for each in downstream.received]
    return [each for each in events if each["type"].startswith("relay.")]


# -- of one session ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "events", "words"),
    [
        ({"session_tokens": 100}, [done(60), done(39), done(1)], "tokens for this session"),
        ({"session_tokens": 100}, [done(99), done(0, output_tokens=1)], "tokens for this session"),
        (
            {"session_tokens": 100},
            [done(90), transcribed(input_tokens=9), transcribed(output_tokens=1)],
            "tokens for this session",
        ),
        (
            {"session_usage_seconds": 10},
            [lasted(4), lasted(9.5), lasted(10, "session.closed")],
            "seconds for this session",
        ),
        (
            {"session_usage_seconds": 10},
            [transcribed(type="duration", seconds=9.5), done(0, type="duration", seconds=0.5)],
            "seconds for this session",
        ),
        ({"day_tokens": 100}, [done(99), done(1)], "tokens for this day (UTC)"),
        ({"day_usage_seconds": 10}, [lasted(9), lasted(10)], "seconds for this day (UTC)"),
    ],
)
def test_a_session_ends_at_the_report_by_which_a_budget_is_used_up(
    limits: dict[str, Any], events: list[str], words: str
) -> None:
    world = world_of(**limits)
    downstream, upstream = pair = world.open()
    report(world, pair, *events[:-1])
    assert downstream.close is None
    report(world, pair, events[-1])
    reason = f"relay: budget of {words} used up"
    assert [each.close for each in pair] == [(1008, reason)] * 2
    error = last_words(downstream)
    assert (error["code"], error["retryable"]) == ("budget_exhausted", False)
    assert error["message"] == f"Your budget of {words} is used up."
    assert downstream.received[1:] == events, "what was reported has crossed before"
    downstream.line.lose()
    upstream.line.lose()
    (end,) = world.listener.ends
    (name,) = limits
    assert (end.close_code, end.closed_by, end.budget) == (1008, "relay", name)
    assert world.is_clean()


def test_parts_of_a_total_are_not_counted_again() -> None:
    world = world_of(session_tokens=100, session_usage_seconds=10)
    pair = world.open()
    details = {"audio_tokens": 40, "text_tokens": 20, "cached_tokens": 30}
    report(world, pair, done(60, input_token_details=details))
    usage = {"seconds": 9, "active_seconds": 8, "paused_seconds": 1}
    report(world, pair, json.dumps({"type": "session.usage.updated", "usage": usage}))
    assert pair[0].close is None


def test_a_session_with_a_policy_has_a_budget_too() -> None:
    world = world_of(session_tokens=100)
    settings = evolve(world.settings, policy=PolicyTable(lock=("tools",)), plane=world.plane)
    world.factory.configure([world.upstream], admit=world.options["admit"], settings=settings)
    pair = world.open()
    report(world, pair, done(100))
    assert code_of(pair[0]) == 1008
    assert last_words(pair[0])["code"] == "budget_exhausted"


def test_without_a_budget_nothing_ends() -> None:
    world = world_of()
    pair = world.open()
    report(world, pair, done(10**9), lasted(10**6))
    assert pair[0].close is None
    assert world.open()[0].status == 101


def test_a_report_of_nonsense_ends_nothing_and_one_without_end_all() -> None:
    world = world_of(day_tokens=100, day_usage_seconds=10)
    pair = world.open()
    for usage in ({"input_tokens": -500}, {"input_tokens": "7"}, {"input_tokens": True}):
        report(world, pair, json.dumps({"type": "response.done", "response": {"usage": usage}}))
    assert pair[0].close is None
    report(world, pair, lasted(1e308), transcribed(type="duration", seconds=1e308))
    assert code_of(pair[0]) == 1008


# -- how it is told ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "event", "seconds"),
    [
        ({"session_tokens": 5}, done(5), 0),
        ({"session_usage_seconds": 5}, lasted(5), 0),
        ({"day_tokens": 5}, done(5), DAY_SECONDS / 2),
        ({"day_usage_seconds": 5}, lasted(5), DAY_SECONDS / 2),
        # Another session would have no more of the day.
        ({"session_tokens": 5, "day_tokens": 5}, done(5), DAY_SECONDS / 2),
    ],
)
def test_a_client_that_asks_for_notices_is_told_when_there_is_more(
    limits: dict[str, Any], event: str, seconds: int
) -> None:
    world = world_of(**limits)
    downstream, _ = pair = world.open(subprotocols=ASKS)
    report(world, pair, event)
    assert [json.loads(each)["type"] for each in downstream.received] == [
        "session.created",
        json.loads(event)["type"],
        "relay.budget_exhausted",
        "error",
    ]
    (notice,) = notices(downstream)
    assert notice["reason"] in limits
    assert notice["seconds"] == seconds
    assert notice["request_id"] == last_words(downstream)["request_id"]


@pytest.mark.parametrize(("closes", "asks"), [("plain", None), ("plain", ASKS), ("event", None)])
def test_events_are_for_those_that_are_to_have_them(closes: Any, asks: Any) -> None:
    world = world_of(session_tokens=5)
    world.factory.configure(
        [world.upstream],
        admit=world.options["admit"],
        settings=evolve(world.settings, closes=closes, plane=world.plane),
    )
    downstream, _ = pair = world.open(subprotocols=asks)
    report(world, pair, done(5))
    kinds = [json.loads(each)["type"] for each in downstream.received[2:]]
    wanted = ["relay.budget_exhausted"] if asks else []
    assert kinds == wanted + ([] if closes == "plain" else ["error"])
    assert code_of(downstream) == 1008


def test_another_end_of_a_session_has_no_notice_of_a_budget() -> None:
    world = world_of(session_tokens=5)
    downstream, upstream = world.open(subprotocols=ASKS)
    upstream.line.reset()
    world.advance(0.1)
    downstream.read()
    assert notices(downstream) == []


def shared(world: World, asks: Any = None) -> tuple[Pair, Pair]:
    """Two sessions of one caller."""
    return world.open(subprotocols=asks), world.open(subprotocols=asks)


def test_between_two_fragments_the_close_comes_alone() -> None:
    world = world_of(day_tokens=5)
    one, other = shared(world, ASKS)
    begun = Frame(Opcode.TEXT, b'{"type":"a",', fin=False).serialize(mask=False)
    other[1].line.deliver(begun)
    report(world, one, done(5))
    if world.plane == "splice":
        reason = b"relay: budget of tokens for this day (UTC) used up"
        close = Frame(Opcode.CLOSE, (1008).to_bytes(2, "big") + reason).serialize(mask=False)
        assert other[0].line.sent == begun + close
    else:
        other[0].read()
        assert last_words(other[0])["code"] == "budget_exhausted"


def test_the_end_waits_for_a_large_frame() -> None:
    world = world_of(day_tokens=5)
    one, other = shared(world, ASKS)
    downstream, upstream = other
    large = Frame(Opcode.TEXT, b"x" * (WHOLE + 1)).serialize(mask=False)
    upstream.line.deliver(large[:2000])
    report(world, one, done(5))
    downstream.read()
    assert (downstream.close is None) is (world.plane == "splice")
    upstream.line.deliver(large[2000:])
    downstream.read()
    assert code_of(downstream) == 1008
    assert last_words(downstream)["code"] == "budget_exhausted"
    assert json.loads(downstream.received.pop())["type"] == "relay.budget_exhausted"


def test_a_report_in_many_frames_crosses_whole_before_the_end() -> None:
    world = world_of(session_tokens=5)
    downstream, upstream = pair = world.open()
    told = done(5).encode()
    for start in range(0, len(told), 20):
        opcode = Opcode.TEXT if start == 0 else Opcode.CONT
        last = start + 20 >= len(told)
        upstream.send_frame(Frame(opcode, told[start : start + 20], fin=last))
    upstream.send_frame(Frame(Opcode.TEXT, b'{"type":"later"}'))
    world.advance(0.1)
    world.settle(*pair)
    last_words(downstream)
    assert downstream.received[1:] == [told.decode(), '{"type":"later"}']


# -- of one caller and day -----------------------------------------------------------------


def refused(world: World, **options: Any) -> tuple[int | None, str, str | None, str | None]:
    """Status, code, Retry-After, and the record's detail."""
    downstream = world.downstream(**options)
    downstream.read()
    assert downstream.response is not None
    record = world.listener.holds[-1]
    wait = downstream.response.headers.get("Retry-After")
    return downstream.status, record.outcome, wait, record.detail


def test_all_sessions_of_a_caller_end_at_once_when_its_day_is_used_up() -> None:
    world = world_of(day_tokens=100)
    pairs = [world.open() for _ in range(60)]
    for pair in pairs:
        report(world, pair, done(1))
    assert all(pair[0].close is None for pair in pairs)
    pairs[7][1].send(done(40))
    world.advance(0.1)
    for pair in pairs:
        world.settle(*pair)
        assert code_of(pair[0]) == 1008
        assert last_words(pair[0])["code"] == "budget_exhausted"


def test_a_caller_whose_day_is_used_up_is_refused_before_any_dial() -> None:
    world = world_of(day_tokens=100)
    pair = world.open()
    report(world, pair, done(100))
    attempts = len(world.reactor.tcpClients)
    assert refused(world) == (429, "budget_exhausted", str(DAY_SECONDS // 2), "over day_tokens")
    assert len(world.reactor.tcpClients) == attempts, "nothing was dialled"


def test_the_refusal_is_told_in_band_too() -> None:
    world = world_of(day_usage_seconds=10)
    report(world, world.open(), lasted(10))
    downstream = world.downstream(subprotocols=["realtime", "relay.refusals.event"])
    downstream.read()
    assert downstream.error["code"] == "budget_exhausted"
    assert downstream.error["retry_after"] == DAY_SECONDS // 2
    assert code_of(downstream) == 1013


def test_at_midnight_there_is_a_new_budget(wall: Wall) -> None:
    world = world_of(day_tokens=100)
    report(world, world.open(), done(100))
    wall.now += DAY_SECONDS / 2 - 0.25
    assert refused(world)[2] == "1"
    wall.now += 0.25
    pair = world.open()
    assert pair[0].status == 101
    report(world, pair, done(99))
    assert pair[0].close is None


def test_a_session_goes_on_over_midnight_with_the_new_days_budget(wall: Wall) -> None:
    world = world_of(day_tokens=100, session_tokens=250)
    pair = world.open()
    report(world, pair, done(90))
    wall.now += DAY_SECONDS
    report(world, pair, done(90))
    assert pair[0].close is None
    wall.now += DAY_SECONDS
    report(world, pair, done(90))
    assert last_words(pair[0])["message"] == "Your budget of tokens for this session is used up."


def test_a_day_that_was_used_up_during_the_dial_ends_the_session_at_once() -> None:
    world = world_of(day_tokens=100)
    pair = world.open()
    late = world.downstream()
    upstream = world.answering()
    report(world, pair, done(100))
    upstream.send('{"type":"session.created"}')
    late.read()
    assert late.status == 101
    world.advance(0.1)
    world.settle(late, upstream)
    assert code_of(late) == 1008
    assert late.received[0] == '{"type":"session.created"}'


def test_what_is_reported_last_counts_for_the_day() -> None:
    world = world_of(day_usage_seconds=100)
    downstream, upstream = pair = world.open()
    upstream.send(lasted(100, "session.closed"))
    upstream.send_close(1000)
    world.settle(*pair)
    assert code_of(downstream) == 1000
    world.advance(0.1)
    assert refused(world)[1] == "budget_exhausted"


def test_what_ended_with_another_cause_is_not_a_budgets_end() -> None:
    world = world_of(session_tokens=5)
    downstream, upstream = world.open()
    upstream.send(done(5))
    downstream.send_close(3001)
    world.advance(0.1)
    world.settle(downstream, upstream)
    upstream.line.fin()
    downstream.line.lose()
    (end,) = world.listener.ends
    assert (end.close_code, end.closed_by, end.budget) == (3001, "downstream", None)


def test_cumulative_seconds_count_once_whatever_a_service_tells_of_them() -> None:
    world = world_of(day_usage_seconds=20)
    pair = world.open()
    report(world, pair, lasted(8), lasted(3), lasted(8), lasted(9))
    assert pair[0].close is None
    report(world, world.open(), lasted(10))
    assert pair[0].close is None
    report(world, pair, lasted(10))
    assert code_of(pair[0]) == 1008


# -- whose it is ---------------------------------------------------------------------------


def test_a_session_of_another_subject_is_not_touched() -> None:
    world = world_of(day_tokens=100)
    names = iter(["ann", "bob", "bob"])
    world.factory.configure(
        [world.upstream],
        admit=lambda _: Grant(next(names)),
        settings=evolve(world.settings, plane=world.plane),
    )
    ann, bob = world.open(), world.open()
    report(world, ann, done(100))
    world.settle(*bob)
    assert bob[0].close is None
    assert world.open()[0].status == 101


def test_without_a_subject_it_is_the_addresss() -> None:
    world = world_of(None, day_tokens=100)
    here, there = ({"X-Forwarded-For": f"192.0.2.{n}"} for n in (1, 2))
    report(world, world.open(headers=here), done(100))
    assert refused(world, headers=here)[1] == "budget_exhausted"
    assert world.open(headers=there)[0].status == 101


def test_a_subject_that_is_named_like_an_address_is_another() -> None:
    world = world_of(None, day_tokens=100)
    report(world, world.open(headers={"X-Forwarded-For": "192.0.2.1"}), done(100))
    world.factory.configure(
        [world.upstream],
        admit=lambda _: Grant("192.0.2.1"),
        settings=evolve(world.settings, plane=world.plane),
    )
    assert world.open()[0].status == 101


def test_programs_of_this_machine_share_a_budget() -> None:
    world = world_of(None, day_tokens=100)
    report(world, world.open(agent="one"), done(100))
    assert refused(world, agent="another")[1] == "budget_exhausted"
    assert world.open(headers={"X-Forwarded-For": "192.0.2.1"})[0].status == 101


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("session_tokens", done(50)),
        ("day_tokens", done(50)),
        ("session_usage_seconds", lasted(50)),
        ("day_usage_seconds", lasted(50)),
    ],
)
@pytest.mark.parametrize(
    ("common", "own", "ends"), [(100, 50, True), (50, 100, False), (50, 0, False), (50, None, True)]
)
def test_a_grant_has_budgets_of_its_own(
    name: str, event: str, common: int, own: int | None, ends: bool
) -> None:
    limits: dict[str, Any] = {name: common}
    world = world_of(own={name: own}, **limits)
    pair = world.open()
    report(world, pair, event)
    assert (code_of(pair[0]) == 1008) is ends


def test_one_whose_events_have_another_form_ends_with_the_others_of_its_caller() -> None:
    shaped = Upstream("ws://127.0.0.1:9000/v1/realtime", models={"m": "m"})
    other = Upstream("ws://127.0.0.1:9001/", "other", provider="generic", models={"n": "n"})
    world = world_of(day_tokens=100)
    world.factory.configure(
        [shaped, other],
        admit=world.options["admit"],
        settings=evolve(world.settings, plane=world.plane),
    )
    plain = world.open(None, path="/v1/realtime?model=n")
    report(world, plain, done(100))
    assert plain[0].close is None, "its usage is not read"
    report(world, world.open(), done(100))
    world.settle(*plain)
    assert code_of(plain[0]) == 1008
    assert plain[0].received == [done(100)]


# -- other settings ------------------------------------------------------------------------


def test_other_budgets_are_for_new_sessions_and_what_was_spent_stays() -> None:
    world = world_of()
    pair = world.open()
    report(world, pair, done(100))

    def configure(**limits: Any) -> None:
        settings = Settings(limits=Limits(**limits), plane=world.plane)
        world.factory.configure([world.upstream], admit=world.options["admit"], settings=settings)

    configure(day_tokens=100)
    assert refused(world)[1] == "budget_exhausted"
    report(world, pair, done(100))
    assert pair[0].close is None, "it goes on as it began"
    configure(day_tokens=300)
    new = world.open()
    report(world, new, done(99))
    assert new[0].close is None
    report(world, new, done(1))
    assert code_of(new[0]) == 1008
    assert pair[0].close is None


def test_two_relays_in_one_process_count_apart() -> None:
    one, other = world_of(day_tokens=100), world_of(day_tokens=100)
    report(one, one.open(), done(100))
    assert other.open()[0].status == 101


def is_lost(world: World, downstream: Peer, upstream: Peer) -> None:
    upstream.line.reset()
    world.settle(downstream)
    downstream.line.lose()


def is_used_up(world: World, downstream: Peer, upstream: Peer) -> None:
    report(world, (downstream, upstream), done(100))
    upstream.line.lose()
    downstream.line.lose()


def is_cut(world: World, downstream: Peer, upstream: Peer) -> None:
    world.factory.abort()
    world.advance(0.5)


@pytest.mark.parametrize("end", [is_lost, is_used_up, is_cut])
def test_of_a_session_that_is_over_only_what_it_spent_is_kept(end: Any) -> None:
    world = world_of(session_tokens=100)
    end(world, *world.open())
    assert world.factory.active_sessions == 0
    assert world.factory._budgets._open == {}
