"""What downstream is told before its Close, in words that SDKs show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory import World, last_words
from websockets.frames import Frame, Opcode

from relay import Grant, Limits, Settings, Upstream
from relay.rules.closes import DRAIN, ENDINGS, LOST, Close
from relay.rules.refusal_forms import error_event
from relay.rules.refusals import refuse
from relay.session.splice import WHOLE
from relay.session.tally import EXPLAINED_SECONDS
from relay.testing.peers import Peer

pytestmark = pytest.mark.usefixtures("plane")

KEY = "sk-canary-0123456789"
BIG = Frame(Opcode.TEXT, b"x" * (WHOLE + 1)).serialize(mask=False)

splice_plane = pytest.mark.parametrize("plane", ["splice"], indirect=True)


@pytest.fixture
def world(plane: str) -> World:
    limits = Limits(
        message_bytes=100_000,
        message_fragments=3,
        messages_per_second=50,
        session_seconds=120,
        idle_seconds=100,
        session_tokens=1000,
    )
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", credential=KEY)
    options = {"admit": lambda _: Grant("shop")}
    return World(settings=Settings(limits=limits), upstream=upstream, options=options)


def is_silent(world: World, downstream: Peer, upstream: Peer) -> None:
    """Upstream says nothing, for longer than it may."""
    for _ in range(70):
        world.advance(1)
        downstream.send("alive")


def is_revoked(world: World, *_: Peer) -> None:
    """Its subject is."""
    world.factory.handles.revoke("shop")
    world.advance(0.1)


def is_stuck(world: World, downstream: Peer, upstream: Peer) -> None:
    """Upstream reads nothing, for longer than it may."""
    for _ in range(5):
        downstream.send(b"x" * 65536)
    for _ in range(31):
        world.advance(1)
        upstream.send_frame(Frame(Opcode.PONG, b""))


def spends(world: World, downstream: Peer, upstream: Peer) -> None:
    """The service reports all that the session may spend."""
    usage = {"input_tokens": 900, "output_tokens": 100}
    upstream.send(json.dumps({"type": "response.done", "response": {"usage": usage}}))
    world.advance(0.1)
    downstream.read()
    del downstream.received[1]


def is_drained(world: World, downstream: Peer, upstream: Peer) -> None:
    """The relay is told to end."""
    world.factory.drain()
    world.advance(20.1)


def floods(world: World, downstream: Peer, upstream: Peer) -> None:
    """Downstream sends as fast as it is read, for more than a minute."""
    for _ in range(70):
        downstream.line.deliver(Frame(Opcode.TEXT, b"x").serialize(mask=True) * 500)
        world.advance(1)
        upstream.read()


def is_idle(world: World, downstream: Peer, upstream: Peer) -> None:
    """Nobody says anything, but both are there."""
    lasts(world, downstream, upstream, says=None)


def lasts(world: World, downstream: Peer, upstream: Peer, says: str | None = "alive") -> None:
    """The session goes on and on."""
    for _ in range(125):
        if upstream.close is None and says is not None:
            downstream.send(says)
        world.advance(1)
        world.settle(downstream, upstream)


def breaks(world: World, downstream: Peer, upstream: Peer) -> None:
    """The relay fails while it passes something on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relay.session.frames.FrameWalk.feed", lambda *_: 1 / 0)
        patch.setattr("relay.peer.protocol.PeerProtocol.relay", lambda *_: 1 / 0)
        downstream.send("boom")


def sends(side: str, *frames: Frame) -> Any:
    """An end sends frames, valid or not."""

    def act(world: World, downstream: Peer, upstream: Peer) -> None:
        for frame in frames:
            (upstream if side == "upstream" else downstream).send_frame(frame)

    return act


CASES: dict[str, tuple[Any, str, int, str]] = {
    "lost": (lambda _, __, up: up.line.reset(), "upstream_lost", 1011, "was lost"),
    "ended": (lambda _, __, up: up.line.fin(), "upstream_lost", 1011, "was lost"),
    "silent": (is_silent, "upstream_silent", 1011, "no longer answers"),
    "stuck": (is_stuck, "upstream_stalled", 1011, "no longer reads"),
    "drained": (is_drained, "draining", 1012, "shutting down"),
    "floods": (floods, "sent_too_much", 1008, "send more slowly"),
    "is idle": (is_idle, "session_idle", 1001, "Nothing was sent"),
    "lasts": (lasts, "session_too_long", 1001, "lasted as long"),
    "failed": (breaks, "internal_error", 1011, "its log has the cause"),
    "upstream breaks the protocol": (
        sends("upstream", Frame(Opcode.CONT, b"x")),
        "upstream_fault",
        1011,
        "The upstream broke",
    ),
    "upstream says too much": (
        sends("upstream", Frame(Opcode.BINARY, b"x" * 100_001)),
        "upstream_fault",
        1011,
        "The upstream broke",
    ),
    "downstream breaks the protocol": (
        sends("downstream", Frame(Opcode.CONT, b"x")),
        "protocol_error",
        1002,
        "Your client broke the WebSocket protocol",
    ),
    "downstream closes by no text": (
        sends("downstream", Frame(Opcode.CLOSE, b"\x03\xe8\xff\xfe")),
        "invalid_text",
        1007,
        "no valid text: close reason is not UTF-8",
    ),
    "downstream says too much": (
        sends("downstream", Frame(Opcode.BINARY, b"x" * 100_001)),
        "message_too_large",
        1009,
        "smaller messages",
    ),
    "downstream says it in too many frames": (
        sends(
            "downstream",
            Frame(Opcode.TEXT, b"1", fin=False),
            *[Frame(Opcode.CONT, b"", fin=False)] * 3,
        ),
        "message_too_large",
        1009,
        "too many fragments",
    ),
    "the operator ends it": (
        lambda world, *_: next(world.factory.handles.find()).close("for a test"),
        "ended_by_operator",
        1008,
        "ended this session: for a test.",
    ),
    "its budget is used up": (spends, "budget_exhausted", 1008, "Your budget of tokens"),
    "its subject is revoked": (is_revoked, "revoked", 1008, "was withdrawn"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_end_that_the_relay_decides_is_told_by_an_event_before_its_close(
    world: World, case: str
) -> None:
    act, code, close_code, words = CASES[case]
    downstream, upstream = world.open()
    act(world, downstream, upstream)
    downstream.read()
    assert downstream.close is not None
    error = last_words(downstream)
    assert error.pop("message").count(words) == 1
    assert error == {
        "type": "relay_error",
        "code": code,
        "param": None,
        "request_id": world.listener.openings[0].request_id,
        "retryable": close_code in (1001, 1011, 1012),
        "close": {"code": close_code, "reason": downstream.close[1]},
    }
    assert downstream.close[0] == close_code
    assert downstream.close[1].startswith("relay: ")
    assert downstream.received == ['{"type":"session.created"}']


def test_every_ending_of_the_table_is_driven_here() -> None:
    elsewhere = {"upstream_closed", "policy_rejected", "expired"}  # the last in test_expiry.py
    assert {code for _, code, _, _ in CASES.values()} | elsewhere == set(ENDINGS)


def test_the_event_has_the_form_of_a_refusals(world: World) -> None:
    downstream, upstream = world.open()
    upstream.line.reset()
    downstream.read()
    event = json.loads(downstream.received[-1])
    assert event["event_id"] == f"event_{event['error']['request_id']}"
    refused = json.loads(error_event(refuse("draining"), "req_1"))
    assert set(event) == set(refused)
    assert set(event["error"]) - {"close"} == set(refused["error"]) - {
        "attempts",
        "upstream",
        "retry_after",
    }


def test_the_event_is_nobodys_traffic_and_no_event_of_upstreams(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send("four")
    upstream.line.reset()
    world.settle(downstream)
    (record,) = world.listener.ends
    sent = record.sent["upstream"]
    assert (sent.messages, sent.bytes) == (2, len('{"type":"session.created"}') + 4)
    assert world.listener.events == []
    assert last_words(downstream)


def test_nobody_but_downstream_is_told(world: World) -> None:
    downstream, upstream = world.open()
    downstream.line.reset()
    upstream.read()
    assert upstream.received == []
    assert upstream.close == (1001, LOST["downstream"].reason)


@pytest.mark.parametrize("case", CASES)
def test_by_the_setting_plain_there_is_no_event(plane: str, case: str) -> None:
    limits = Limits(
        message_bytes=100_000,
        message_fragments=3,
        messages_per_second=50,
        session_seconds=120,
        idle_seconds=100,
        session_tokens=1000,
    )
    settings = Settings(limits=limits, closes="plain")
    world = World(settings=settings, options={"admit": lambda _: Grant("shop")})
    downstream, upstream = world.open()
    CASES[case][0](world, downstream, upstream)
    downstream.read()
    assert downstream.received == ['{"type":"session.created"}']
    assert downstream.close is not None


def test_an_upstream_that_has_no_such_events_gets_none_added() -> None:
    world = World(upstream=Upstream("ws://127.0.0.1:9000/", provider="generic"))
    downstream, upstream = world.open(first=None)
    upstream.line.reset()
    downstream.read()
    assert downstream.received == []
    assert downstream.close == (1011, LOST["upstream"].reason)


@pytest.mark.parametrize("code", [1000, 1005, 4000, None])
def test_a_close_that_downstream_began_gets_no_event(world: World, code: int | None) -> None:
    downstream, upstream = world.open()
    downstream.send_close(code)
    upstream.read()
    upstream.line.fin()
    world.settle(downstream)
    assert downstream.received == ['{"type":"session.created"}']
    assert downstream.close is not None


def test_a_reader_that_stalls_gets_no_event(world: World) -> None:
    downstream, upstream = world.open()
    for _ in range(5):
        upstream.send(b"x" * 65536)
    for _ in range(32):
        world.advance(1)
        downstream.send_frame(Frame(Opcode.PONG, b""))
    assert downstream.line.lost is not None
    assert b"relay_error" not in downstream.line.sent


def test_a_drain_is_over_in_its_time_though_each_session_is_told() -> None:
    world = World(settings=Settings(drain_seconds=12, drain_spread_seconds=2))
    pairs = [world.open() for _ in range(120)]
    drained: list[float] = []
    world.factory.drain().addCallback(lambda _: drained.append(world.reactor.seconds()))
    began = world.reactor.seconds()
    for _ in range(13):
        world.advance(1)
        for downstream, upstream in pairs:
            world.settle(downstream, upstream)
            if upstream.close:
                upstream.line.fin()
    assert [last_words(downstream)["code"] for downstream, _ in pairs] == ["draining"] * 120
    assert drained[0] - began <= 13
    assert world.is_clean()


# -- what upstream itself closes -----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "crosses_as", "retryable"),
    [
        (1001, 1001, True),
        (1011, 1011, True),
        (1013, 1013, True),
        (1008, 1008, False),
        (4002, 4002, False),
        (1002, 1011, True),
        (1014, 1011, True),
        (1006, 1011, True),
    ],
)
def test_an_upstream_that_closes_without_a_word_is_named_with_its_code_and_reason(
    world: World, code: int, crosses_as: int, retryable: bool
) -> None:
    downstream, upstream = world.open()
    upstream.send_close(code, f"{KEY} is old")
    downstream.read()
    error = last_words(downstream)
    assert error["code"] == "upstream_closed"
    assert error["message"] == (
        f"The upstream closed the session with code {code}, [redacted] is old."
    )
    assert error["retryable"] is retryable
    assert downstream.close is not None
    assert error["close"] == {"code": downstream.close[0], "reason": downstream.close[1]}
    assert downstream.close[0] == crosses_as
    assert downstream.received == ['{"type":"session.created"}']


def test_a_close_of_upstreams_without_a_code_is_told(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send_close(None)
    downstream.read()
    error = last_words(downstream)
    assert error["message"] == "The upstream closed the session with no code."
    assert error["close"] == {"code": None, "reason": ""}
    assert error["retryable"]


def test_upstreams_normal_end_is_no_error(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send_close(1000, "done")
    downstream.read()
    assert downstream.received == ['{"type":"session.created"}']
    assert downstream.close == (1000, "done")


@pytest.mark.parametrize(
    "said",
    [
        '{"type":"error","error":{"code":"session_expired"}}',
        '{"error":{"type":"invalid_request_error","code":"x"},"type":"error"}',
        '{"type":"session.closed","reason":"expired"}',
        '{"code":"The service is currently unavailable","error":"Try again \\"later\\"."}',
        '{"error":{"message":"no more"}}',
    ],
)
def test_what_upstream_has_just_explained_itself_is_not_told_again(world: World, said: str) -> None:
    downstream, upstream = world.open()
    upstream.send(said)
    world.advance(EXPLAINED_SECONDS - 0.1)
    upstream.send_close(1001, "expired")
    downstream.read()
    assert downstream.received[1:] == [said]
    assert downstream.close == (1001, "expired")


def test_an_error_of_long_ago_explains_nothing(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send('{"type":"error","error":{"code":"unknown_parameter"}}')
    world.advance(EXPLAINED_SECONDS + 0.1)
    upstream.send_close(1001)
    downstream.read()
    assert last_words(downstream)["code"] == "upstream_closed"


def test_an_error_of_upstreams_hides_no_end_that_is_the_relays(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send('{"type":"error","error":{"code":"x"}}')
    upstream.line.reset()
    downstream.read()
    assert last_words(downstream)["code"] == "upstream_lost"


def test_without_a_listener_it_is_known_too_that_upstream_explained_itself(plane: str) -> None:
    world = World(options={"listeners": []})
    downstream, upstream = world.open()
    upstream.send('{"type":"error","error":{"code":"x"}}')
    upstream.send_close(1001)
    downstream.read()
    assert len(downstream.received) == 2


def test_the_largest_event_goes_through_the_smallest_limit() -> None:
    world = World(settings=Settings(limits=Limits(message_bytes=1024)))
    downstream, upstream = world.open()
    upstream.send_close(4000, "\x01" * 123)
    downstream.read()
    assert last_words(downstream)["close"]["reason"] == "\x01" * 123
    assert downstream.close == (4000, "\x01" * 123)


# -- where it stands -----------------------------------------------------------------------

FRAGMENT = Frame(Opcode.TEXT, b"begun ", fin=False)
GO_ON = Frame(Opcode.CONT, b"on ", fin=False)
LAST = Frame(Opcode.CONT, b"and over")


def drain(world: World) -> None:
    """Begin a drain, and let its time pass until it closes sessions."""
    world.factory.drain()
    world.advance(world.settings.drain_seconds - world.settings.drain_spread)


@splice_plane
@pytest.mark.parametrize("frames", [[FRAGMENT], [FRAGMENT, GO_ON]])
def test_between_the_fragments_of_a_message_there_is_no_event_but_a_close(
    world: World, frames: list[Frame]
) -> None:
    downstream, upstream = world.open()
    for frame in frames:
        upstream.send_frame(frame)
    came = b"".join(frame.serialize(mask=False) for frame in frames)
    upstream.line.reset()
    assert downstream.line.sent == came + close_frame(LOST["upstream"])


def close_frame(close: Close) -> bytes:
    return Frame(Opcode.CLOSE, close.payload()).serialize(mask=False)


def test_behind_the_last_fragment_there_is_an_event(world: World) -> None:
    downstream, upstream = world.open()
    for frame in (FRAGMENT, GO_ON, LAST):
        upstream.send_frame(frame)
    upstream.line.reset()
    downstream.read()
    assert last_words(downstream)["code"] == "upstream_lost"
    assert downstream.received[1:] == ["begun on and over"]


@splice_plane
@pytest.mark.parametrize(
    ("before", "part", "is_told"),
    [
        ([], FRAGMENT, True),
        ([], Frame(Opcode.TEXT, b"whole"), True),
        ([FRAGMENT], GO_ON, False),
        ([FRAGMENT], LAST, False),
        ([FRAGMENT, LAST], FRAGMENT, True),
    ],
)
def test_a_frame_that_was_not_whole_and_never_crossed_leaves_the_place_before_it(
    world: World, before: list[Frame], part: Frame, is_told: bool
) -> None:
    downstream, upstream = world.open()
    for frame in before:
        upstream.send_frame(frame)
    upstream.line.deliver(part.serialize(mask=False)[:-1])
    upstream.line.reset()
    came = downstream.line.sent
    assert (b"relay_error" in came) is is_told
    if is_told:
        downstream.read()
        assert last_words(downstream)["code"] == "upstream_lost"
        assert downstream.close == (1011, LOST["upstream"].reason)


@splice_plane
def test_within_a_large_frame_the_event_waits_for_its_end_and_stands_before_the_close(
    world: World,
) -> None:
    downstream, upstream = world.open()
    upstream.line.deliver(BIG[:2000])
    drain(world)
    assert downstream.line.sent == BIG[:2000]
    upstream.line.deliver(BIG[2000:] + BIG)
    downstream.read()
    assert last_words(downstream)["code"] == "draining"
    assert downstream.received[1:] == ["x" * (WHOLE + 1)]
    assert downstream.close == (1012, "relay: shutting down")


@splice_plane
def test_behind_a_large_frame_that_is_no_whole_message_there_is_a_close_alone(
    world: World,
) -> None:
    downstream, upstream = world.open()
    fragment = Frame(Opcode.TEXT, b"x" * (WHOLE + 1), fin=False).serialize(mask=False)
    upstream.line.deliver(fragment[:2000])
    drain(world)
    upstream.line.deliver(fragment[2000:])
    sent = downstream.line.sent
    assert sent.startswith(fragment)
    assert sent[len(fragment) :] == close_frame(DRAIN)


@splice_plane
def test_a_tap_that_raises_within_a_message_leaves_no_event_within_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = world.open()
    upstream.send_frame(FRAGMENT)
    monkeypatch.setattr("relay.session.peek.Peek.__call__", lambda *_: 1 / 0)
    upstream.send_frame(LAST)
    assert b"relay_error" not in downstream.line.sent
    assert b"relay: internal error" in downstream.line.sent
