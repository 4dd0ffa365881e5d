"""The hold, in memory: what is waited for, for how long, and the one answer it ends with."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import evolve
from memory import World
from twisted.internet.defer import Deferred, succeed
from websockets.frames import Frame, Opcode

from relay import Grant, Refusal, RefusalRule, RelayListener, Request, Settings, Upstream, refuse
from relay.dial.attempt import ANSWER_SECONDS, CLOSE_SECONDS
from relay.testing.peers import Peer, client

CREATED = '{"type":"session.created"}'
FAILING = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
ERROR = '{"type":"error","error":{"code":"%s","message":"no"}}'


@pytest.fixture
def world() -> World:
    return World()


def answer_of(downstream: Peer) -> tuple[int, dict[str, Any]]:
    """Status and error of the one HTTP answer that came."""
    head, _, body = downstream.line.take().partition(b"\r\n\r\n")
    assert head.lower().count(b"content-length: %d" % len(body)) == 1
    error: dict[str, Any] = json.loads(body)["error"]
    return int(head.split()[1]), error


def test_nothing_is_answered_before_the_first_event(world: World) -> None:
    downstream = world.downstream()
    assert downstream.line.sent == b""
    upstream = world.answering()
    assert downstream.line.sent == b""
    upstream.send(CREATED)
    assert downstream.line.sent.startswith(b"HTTP/1.1 101 ")
    (record,) = world.listener.holds
    assert record.outcome == "opened"
    assert record.upstream == "openai"
    assert set(record.attempts[0].stages) == {"dns", "tcp", "upgrade", "first_event"}


def test_the_request_id_is_told_in_the_101_and_in_the_record(world: World) -> None:
    downstream = world.downstream()
    world.answering().send(CREATED)
    (record,) = world.listener.holds
    assert f"X-Request-Id: {record.request_id}\r\n".encode() in downstream.line.sent


def test_the_key_is_not_in_the_record_though_upstream_names_its_session_after_it() -> None:
    key = "sk-not-to-be-told"
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", credential=key)
    world = World(upstream=upstream)
    first = json.dumps({"type": "session.created", "session": {"id": f"sess_{key}"}})
    peers = world.open(first)
    for peer in peers:
        peer.line.lose()
    (closed,) = world.listener.ends
    assert closed.session_id == "[redacted]"


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """How many bytes of memory Python has in use."""
    tracemalloc.start()

    def in_use() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    yield in_use
    tracemalloc.stop()


def test_nothing_behind_an_error_is_kept_while_its_close_is_awaited(
    world: World, traced: Callable[[], int]
) -> None:
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send(ERROR % "x")
    before = traced()
    for _ in range(256):
        upstream.send(b"x" * 65536)
    assert traced() - before < 256 * 1024, "of 16 MiB"
    upstream.send_close(3000)
    assert answer_of(downstream)[1]["code"] == "upstream_unauthorized"


def test_nothing_that_follows_a_refusal_in_band_is_kept(
    world: World, traced: Callable[[], int]
) -> None:
    downstream = world.downstream(subprotocols=["relay.refusals.event"])
    world.connected().deliver(FAILING)
    downstream.answers_close = False
    downstream.read()
    assert downstream.close is not None
    before = traced()
    downstream.send_frame(Frame(Opcode.TEXT, b"\xff"))
    downstream.send_frame(Frame(Opcode.BINARY, b"x" * 65536, fin=False))
    for _ in range(255):
        downstream.send_frame(Frame(Opcode.CONT, b"x" * 65536, fin=False))
    assert traced() - before < 256 * 1024, "of 16 MiB"
    downstream.send_close(1000)
    assert downstream.line.disconnecting, "its Close is read all the same"


@pytest.mark.parametrize("stage", ["tcp", "upgrade", "first_event"])
def test_a_silent_upstream_is_504_at_the_deadline_and_not_before(world: World, stage: str) -> None:
    downstream = world.downstream()
    if stage == "upgrade":
        world.connected()
    if stage == "first_event":
        world.answering()
    world.advance(world.settings.hold_seconds - 0.1)
    assert downstream.line.sent == b""
    world.advance(0.1)
    status, error = answer_of(downstream)
    assert (status, error["code"], error["retryable"]) == (504, "upstream_timeout", True)
    assert error["upstream"]["stage"] == stage
    downstream.line.fin()
    assert world.is_clean()


def test_the_deadline_of_a_hold_is_the_setting() -> None:
    world = World(settings=Settings(hold_seconds=0.5))
    downstream = world.downstream()
    world.connected()
    world.advance(0.5)
    assert answer_of(downstream)[0] == 504


@pytest.mark.parametrize("stage", ["tcp", "upgrade", "first_event"])
def test_a_downstream_that_leaves_cancels_the_dial_at_once(world: World, stage: str) -> None:
    downstream = world.downstream()
    line = world.connected() if stage == "upgrade" else None
    if stage == "first_event":
        line = world.answering().line
    downstream.line.reset()
    if line is not None:
        assert line.lost is not None
    assert world.is_clean()
    (record,) = world.listener.holds
    assert record.outcome == "left"
    assert world.listener.refusals == [None]


def test_bytes_before_the_101_are_an_error_and_end_the_dial(world: World) -> None:
    downstream = world.downstream()
    upstream = world.connected()
    downstream.line.deliver(b"\x81\x80\0\0\0\0")
    status, error = answer_of(downstream)
    assert (status, error["code"]) == (400, "bad_request")
    assert upstream.lost is not None
    downstream.line.deliver(b"more")
    downstream.line.fin()
    assert world.is_clean()
    assert len(world.listener.holds) == 1


def test_bytes_right_behind_the_head_are_an_error_before_any_dial(world: World) -> None:
    downstream = Peer(world.accept(), None)
    downstream.line.deliver(
        b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    )
    assert answer_of(downstream)[1]["code"] == "bad_request"
    assert world.reactor.tcpClients == []


# -- what upstream says first --------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "close", "refused_as", "status"),
    [
        ("invalid_api_key", 3000, "upstream_unauthorized", 502),
        ("invalid_model", 4000, "upstream_rejected_request", 400),
        ("model_not_found", 4004, "upstream_rejected_request", 404),
        ("insufficient_quota", 4000, "upstream_quota_exhausted", 502),
        ("something_else", 1011, "upstream_refused", 502),
    ],
)
def test_an_error_as_the_first_event_is_a_refusal(
    world: World, code: str, close: int, refused_as: str, status: int
) -> None:
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send(ERROR % code)
    assert downstream.line.sent == b""
    upstream.send_close(close)
    got, error = answer_of(downstream)
    assert (got, error["code"]) == (status, refused_as)
    assert error["upstream"]["stage"] == "first_event"
    assert error["attempts"] == 1
    assert upstream.line.lost is not None


def test_the_close_after_an_error_is_awaited_a_quarter_second(world: World) -> None:
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send(ERROR % "invalid_model")
    upstream.send("ignored")
    world.advance(CLOSE_SECONDS - 0.01)
    assert downstream.line.sent == b""
    world.advance(0.01)
    assert answer_of(downstream)[1]["code"] == "upstream_rejected_request"


def test_an_error_and_then_a_reset_is_classified_by_the_error(world: World) -> None:
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send(ERROR % "invalid_model")
    upstream.line.reset()
    assert answer_of(downstream)[1]["code"] == "upstream_rejected_request"


@pytest.mark.parametrize("first", ["no json", '{"type":"conversation.created"}', b"\0\1"])
def test_any_first_message_but_an_error_opens_the_session(world: World, first: str | bytes) -> None:
    downstream = world.downstream()
    world.answering().send(first)
    downstream.read()
    assert downstream.received == [first]


def test_a_refusal_whose_body_does_not_end_is_told_soon(world: World) -> None:
    downstream = world.downstream()
    line = world.connected()
    line.deliver(b"HTTP/1.1 500 Oops\r\nX-Request-Id: up_1\r\n\r\n")
    line.deliver(b'{"error":{"code":"oops","message":"broken"}}')
    line.deliver(b" ")
    assert downstream.line.sent == b""
    world.advance(ANSWER_SECONDS)
    status, error = answer_of(downstream)
    assert (status, error["code"]) == (502, "upstream_refused")
    assert "HTTP 500" in error["message"]
    assert "broken" in error["message"]
    assert error["upstream"] == {
        "name": "openai",
        "stage": "upgrade",
        "status": 500,
        "request_id": "up_1",
    }


def test_an_upstream_that_no_longer_answers_before_its_first_event_is_a_timeout() -> None:
    world = World(settings=Settings(hold_seconds=600))
    downstream = world.downstream()
    world.answering()
    world.advance(45)
    assert answer_of(downstream)[1]["code"] == "upstream_timeout"


# -- several upstreams ---------------------------------------------------------------------


def two_upstreams() -> World:
    world = World()
    first = Upstream("ws://127.0.0.1:9001/v1/realtime", name="first")
    second = Upstream("ws://127.0.0.2:9002/v1/realtime", name="second", priority=1)
    return evolve(world, options={}, upstreams=[first, second])


def test_the_next_upstream_is_tried_when_one_refuses() -> None:
    world = two_upstreams()
    downstream = world.downstream()
    world.connected().deliver(FAILING)
    assert downstream.line.sent == b""
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]
    (record,) = world.listener.holds
    assert [a.outcome for a in record.attempts] == ["upstream_refused", "open"]
    assert record.upstream == "second"


def test_the_last_upstreams_refusal_is_the_answer() -> None:
    world = two_upstreams()
    downstream = world.downstream()
    world.connected().deliver(FAILING)
    world.connected().deliver(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
    error = answer_of(downstream)[1]
    assert error["code"] == "upstream_unauthorized"
    assert error["attempts"] == 2
    assert error["upstream"]["name"] == "second"


def test_a_callers_own_mistake_is_tried_nowhere_else() -> None:
    world = two_upstreams()
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send(ERROR % "invalid_model")
    upstream.send_close(4000)
    assert answer_of(downstream)[1]["code"] == "upstream_rejected_request"
    assert len(world.reactor.tcpClients) == 1


# -- the request that goes upstream --------------------------------------------------------


def test_only_allowed_parameters_and_headers_go_upstream() -> None:
    key = "sk-relay-0123456789"
    world = World(upstream=Upstream("ws://127.0.0.1:9000/v1/realtime", credential=key))
    downstream = Peer(world.accept(), None)
    downstream.line.deliver(
        b"GET /v1/realtime?model=a%20b&evil=1 HTTP/1.1\r\nHost: localhost\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Authorization: Bearer downstream-token\r\nCookie: c=1\r\nX-Forwarded-For: 1.2.3.4\r\n"
        b"OpenAI-Safety-Identifier: user-7\r\nOpenAI-Beta: other=v1\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
        b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.tok, relay.refusals.event, "
        b"openai-agents-sdk.1\r\n\r\n"
    )
    request = world.connected().take().decode()
    first, *lines = request.strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert first == "GET /v1/realtime?model=a%20b HTTP/1.1"
    assert headers["authorization"] == f"bearer {key}"
    assert headers["openai-safety-identifier"] == "user-7"
    assert headers["sec-websocket-protocol"] == "realtime,openai-agents-sdk.1"
    assert headers["host"] == "127.0.0.1:9000"
    for name in ("cookie", "x-forwarded-for", "openai-beta", "sec-websocket-extensions"):
        assert name not in headers
    assert "downstream-token" not in request
    assert "tok," not in request


def test_subprotocols_that_are_listed_go_upstream_and_no_others() -> None:
    upstream = Upstream("ws://127.0.0.1:9000/v1", subprotocols=("foo",))
    world = World(upstream=upstream)
    world.downstream(subprotocols=["bar", "foo", "xai-client-secret.s3cret", "realtime"])
    request = world.connected().take().decode().lower()
    assert "sec-websocket-protocol: foo,realtime\r\n" in request


def test_the_101_selects_what_upstream_selected(world: World) -> None:
    downstream, _ = world.open(subprotocols=["foo", "realtime"])
    assert downstream.sans.subprotocol == "realtime"


# -- admission -----------------------------------------------------------------------------


def with_admit(admit: Any) -> World:
    return World(options={"admit": admit})


@pytest.mark.parametrize("later", [False, True])
def test_a_grant_lets_in_and_its_subject_is_recorded(later: bool) -> None:
    def admit(request: Request) -> Any:
        assert request.credential == "tok"
        assert request.model == "m"
        grant = Grant("alice")
        return succeed(grant) if later else grant

    world = with_admit(admit)
    world.open(subprotocols=["realtime", "openai-insecure-api-key.tok"])
    assert world.listener.holds[0].subject == "alice"


@pytest.mark.parametrize("later", [False, True])
def test_a_refusal_of_admit_is_the_answer(later: bool) -> None:
    def admit(request: Request) -> Any:
        refusal = refuse("too_many_sessions", "Two at most.", retry_after=9)
        return succeed(refusal) if later else refusal

    world = with_admit(admit)
    downstream = world.downstream()
    assert b"Retry-After: 9\r\n" in downstream.line.sent
    assert answer_of(downstream)[0] == 429
    assert world.reactor.tcpClients == []


@pytest.mark.parametrize(("answer", "kind"), [(True, "a bool"), (None, "None"), ("ann", "a str")])
def test_an_admit_that_answers_anything_else_is_503_and_the_log_says_what_was_wanted(
    answer: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []

    def failure(text: str, **_: object) -> None:
        logged.append(str(sys.exc_info()[1]))

    monkeypatch.setattr("relay.admission.verdict._log.failure", failure)
    downstream = with_admit(lambda request: answer).downstream()
    status, error = answer_of(downstream)
    assert (status, error["code"]) == (503, "authorizer_unavailable")
    assert logged == [f"admit must answer with a relay.Grant or relay.Refusal, not {kind}"]


def test_an_admit_that_does_not_answer_is_503_at_the_deadline() -> None:
    pending: Deferred[Grant] = Deferred()
    world = with_admit(lambda request: pending)
    downstream = world.downstream()
    world.advance(world.settings.hold_seconds)
    status, error = answer_of(downstream)
    assert (status, error["code"]) == (503, "authorizer_unavailable")
    assert error["upstream"] is None
    assert pending.called


def test_the_record_says_how_long_admit_took_of_the_hold() -> None:
    pending: Deferred[Grant] = Deferred()
    world = with_admit(lambda request: pending)
    world.downstream()
    world.advance(1.5)
    pending.callback(Grant("ann"))
    upstream = world.answering()
    world.advance(0.5)
    upstream.send('{"type":"session.created"}')
    (opened,) = world.listener.openings
    assert (opened.authorizing, opened.seconds) == pytest.approx((1.5, 2.0))


def test_a_client_that_leaves_while_admit_is_pending_ends_it() -> None:
    pending: Deferred[Grant] = Deferred()
    world = with_admit(lambda request: pending)
    downstream = world.downstream()
    world.advance(1.0)
    downstream.line.lose()
    (left,) = world.listener.holds
    assert left.outcome == "left"
    assert left.authorizing == pytest.approx(1.0)
    assert pending.called
    assert (world.reactor.tcpClients, world.is_clean()) == ([], True)


def test_the_dial_has_the_time_that_admit_left() -> None:
    pending: Deferred[Grant] = Deferred()
    world = with_admit(lambda request: pending)
    downstream = world.downstream()
    world.advance(world.settings.hold_seconds - 1)
    pending.callback(Grant())
    world.connected()
    world.advance(0.9)
    assert downstream.line.sent == b""
    world.advance(0.1)
    assert answer_of(downstream)[0] == 504


def test_a_credential_callback_is_asked_for_each_attempt() -> None:
    keys = iter(["sk-first-000000", "sk-second-00000"])
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", credential=lambda: succeed(next(keys)))
    world = World(upstream=upstream)
    for key in ("sk-first-000000", "sk-second-00000"):
        world.downstream()
        assert f"Authorization: Bearer {key}\r\n".encode() in world.connected().sent


def test_a_credential_callback_that_hangs_is_503_and_leaving_cancels_it() -> None:
    pending: Deferred[str] = Deferred()
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", credential=lambda: pending)
    world = World(upstream=upstream)
    downstream = world.downstream()
    world.advance(world.settings.hold_seconds)
    assert answer_of(downstream)[1]["code"] == "authorizer_unavailable"
    assert pending.called


@pytest.mark.parametrize("whose", ["admit", "credential"])
def test_a_callback_that_answers_when_it_is_cancelled_opens_nothing(whose: str) -> None:
    def answer(value: Any) -> Deferred[Any]:
        return Deferred(lambda d: d.callback(value))

    if whose == "admit":
        world = with_admit(lambda request: answer(Grant()))
    else:
        url = "ws://127.0.0.1:9000/v1/realtime"
        world = World(upstream=Upstream(url, credential=lambda: answer("sk-late-000000")))
    world.downstream().line.reset()
    assert world.reactor.tcpClients == []
    assert world.is_clean()
    assert [record.outcome for record in world.listener.holds] == ["left"]


# -- the in-band form ----------------------------------------------------------------------


def refused_in_band(world: World, **options: Any) -> Peer:
    downstream = world.downstream(**options)
    world.connected().deliver(FAILING)
    downstream.read()
    return downstream


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        (["relay.refusals.event"], "relay.refusals.event"),
        (["realtime", "relay.refusals.event"], "realtime"),
        (["openai-insecure-api-key.k", "relay.refusals.event"], "relay.refusals.event"),
    ],
)
def test_a_client_that_offers_the_relays_subprotocol_is_told_in_band(
    world: World, offered: list[str], selected: str
) -> None:
    downstream = refused_in_band(world, subprotocols=offered)
    assert downstream.sans.subprotocol == selected
    (event,) = downstream.received
    error = json.loads(event)["error"]
    assert error["code"] == "upstream_refused"
    assert downstream.close == (1013, "relay: upstream_refused")
    world.settle(downstream)
    assert world.is_clean()
    assert len(world.listener.holds) == 1


def test_a_refusal_that_is_final_closes_with_4000_and_the_status() -> None:
    world = World(settings=Settings(refusals="event"))
    downstream = world.downstream()
    world.connected().deliver(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
    downstream.read()
    assert downstream.close == (4502, "relay: upstream_unauthorized")


@pytest.mark.parametrize(
    ("origin", "agent", "in_band"),
    [
        ("http://localhost:3000", "Mozilla/5.0 (X11)", True),
        ("http://localhost:3000", "python", False),
        ("http://localhost:3000", None, False),
        (None, "Mozilla/5.0 (X11)", False),
        (None, "node", True),
    ],
)
def test_a_client_that_hides_the_status_is_told_in_band(
    world: World, origin: str | None, agent: str | None, in_band: bool
) -> None:
    downstream = world.downstream(agent=agent, origin=origin)
    world.connected().deliver(FAILING)
    assert downstream.line.sent.startswith(b"HTTP/1.1 101 " if in_band else b"HTTP/1.1 502 ")


RULES = (
    RefusalRule(user_agent="reads/*", listener="outer", form="event"),
    RefusalRule(user_agent="reads/*", form="http"),
    RefusalRule(listener="outer"),
    RefusalRule(form="event"),
)


@pytest.mark.parametrize(
    ("listener", "agent", "status"),
    [
        ("outer", "reads/1", 101),
        ("outer", "other/1", 502),
        ("outer", None, 502),
        (None, "reads/1", 502),
        (None, "other/1", 101),
        (None, None, 101),
    ],
)
def test_rules_say_the_form_by_listener_and_user_agent(
    listener: str | None, agent: str | None, status: int
) -> None:
    world = World(settings=Settings(refusals=RULES), at=listener)
    downstream = world.downstream(agent=agent)
    world.connected().deliver(FAILING)
    assert downstream.line.sent.startswith(b"HTTP/1.1 %d " % status)


def test_a_forbidden_origin_always_gets_the_status() -> None:
    world = World(settings=Settings(refusals="event"))
    downstream = world.downstream(agent="Mozilla/5.0", origin="https://evil.test")
    assert answer_of(downstream)[0] == 403


@pytest.mark.parametrize("setting", ["http", "event", "auto"])
def test_a_session_right_after_a_refused_one_is_not_disturbed(setting: str) -> None:
    world = World(settings=Settings(refusals=setting))  # type: ignore[arg-type]
    refused = world.downstream(subprotocols=["relay.refusals.event"])
    world.connected().deliver(FAILING)
    downstream, upstream = world.open(subprotocols=["realtime"])
    refused.read() if setting != "http" else refused.line.take()
    refused.line.fin()
    upstream.send("still here")
    downstream.read()
    assert downstream.received[-1] == "still here"


def test_the_setting_http_refuses_every_client_by_status() -> None:
    world = World(settings=Settings(refusals="http"))
    downstream = world.downstream(subprotocols=["relay.refusals.event"])
    world.connected().deliver(FAILING)
    assert answer_of(downstream)[0] == 502


def test_messages_of_a_refused_downstream_go_nowhere(world: World) -> None:
    downstream = refused_in_band(world, subprotocols=["relay.refusals.event"])
    downstream.answers_close = False
    downstream.line.deliver(b"\x81\x80\0\0\0\0")
    world.advance(world.settings.limits.linger_seconds)
    assert downstream.line.lost is not None
    assert world.is_clean()


# -- limits and drain ----------------------------------------------------------------------


def test_a_hold_over_the_limit_of_sessions_is_relay_full() -> None:
    settings = Settings()
    world = World(settings=evolve(settings, limits=evolve(settings.limits, sessions=2)))
    downstream, upstream = world.open()
    held = world.downstream()
    full = world.downstream()
    assert held.line.sent == b""
    assert answer_of(full)[1]["code"] == "relay_full"
    downstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    again = world.downstream()
    assert again.line.sent == b""


def test_a_drain_refuses_new_requests(world: World) -> None:
    world.downstream()
    world.factory.drain()
    assert answer_of(world.downstream())[1]["code"] == "draining"


def test_who_was_accepted_where_clients_can_wait_is_not_refused_by_a_drain(world: World) -> None:
    early = Peer(world.accept(), client("/v1/realtime?model=m"))
    shut: list[str] = []
    world.factory.drain(lambda: shut.append("shut"))
    assert shut == ["shut"]
    world.advance(0.2)
    early.ask({})
    world.advance(0.2)
    world.answering().send(CREATED)
    early.read()
    assert early.received == [CREATED]
    assert answer_of(world.downstream())[1]["code"] == "draining"


def test_a_hold_may_still_open_while_the_relay_drains(world: World) -> None:
    downstream = world.downstream()
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    upstream = world.answering()
    upstream.send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]
    assert drained == [], "there is a session now"
    world.advance(20.1)
    world.settle(downstream, upstream)
    upstream.line.fin()
    assert downstream.close == (1012, "relay: shutting down")
    assert drained == [None]


def test_a_hold_whose_time_is_up_in_a_drain_is_told_to_connect_again(world: World) -> None:
    downstream = world.downstream()
    world.factory.drain()
    world.advance(world.settings.hold_seconds + 0.1)
    status, error = answer_of(downstream)
    assert (status, error["code"], error["attempts"]) == (503, "draining", 1)
    assert world.listener.holds[0].outcome == "draining"


def test_a_hold_that_waits_for_admit_in_a_drain_is_told_to_connect_again() -> None:
    world = World(options={"admit": lambda request: Deferred()})
    downstream = world.downstream()
    world.factory.drain()
    world.advance(world.settings.hold_seconds + 0.1)
    assert answer_of(downstream)[1]["code"] == "draining"


def test_a_hold_is_refused_at_the_drains_deadline() -> None:
    world = World(settings=Settings(drain_seconds=2))
    downstream = world.downstream()
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    world.advance(1.9)
    assert downstream.line.sent == b""
    world.advance(0.2)
    assert answer_of(downstream)[1]["code"] == "draining"
    world.advance(0.9)
    assert drained == [None]


def test_other_refusals_stay_what_they_are_in_a_drain(world: World) -> None:
    downstream = world.downstream()
    world.factory.drain()
    world.connected().deliver(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    assert answer_of(downstream)[1]["code"] == "upstream_unauthorized"


# -- our own bugs --------------------------------------------------------------------------


def test_a_bug_in_the_hold_is_500_and_its_text_stays_inside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("relay.dial.dialer.AttemptRecord", broken)
    downstream = world.downstream()
    assert b"secret detail" not in downstream.line.sent
    status, error = answer_of(downstream)
    assert (status, error["code"]) == (500, "internal_error")


def test_a_bug_at_the_join_is_1011_to_both(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("relay.session.session.Session.start", broken)
    downstream, upstream = world.open()
    upstream.read()
    assert downstream.close == (1011, "relay: internal error")
    assert upstream.close == (1011, "relay: internal error")


def test_a_listener_that_fails_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(RelayListener):
        def opened(self, record: object) -> None:
            raise RuntimeError("listener")

        def refused(self, record: object, refusal: Refusal | None) -> None:
            raise RuntimeError("listener")

        closed = opened

    world = World(options={"listeners": [Broken()]})
    downstream, _ = world.open()
    assert downstream.received == [CREATED]


def test_a_bug_before_the_hold_is_500(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(head: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("relay.downstream.acceptor.upgrade_refusal", broken)
    status, error = answer_of(world.downstream())
    assert (status, error["code"]) == (500, "internal_error")
    assert len(world.listener.holds) == 1
