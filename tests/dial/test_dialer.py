"""The dial, in memory: who is tried when, for how long, and what the client is told."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest
from attrs import define
from memory import World
from twisted.internet.error import ConnectBindError, ConnectError, ConnectionRefusedError
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from relay import Limits, Refusal, Settings, Upstream, refuse
from relay.dial.attempt import CLOSE_SECONDS
from relay.rules.shortage import NoThread
from relay.testing.peers import Line, Peer
from relay.upstreams.breaker import FAILURES, FIRST, MOST
from relay.upstreams.retry import LEAST

CREATED = '{"type":"session.created"}'
HOLD = Settings().hold_seconds
TIMEOUT = refuse("upstream_timeout")


def answer(status: int, *headers: str) -> bytes:
    """An HTTP answer without a body."""
    lines = [f"HTTP/1.1 {status} X", *headers, "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode()


@define
class Dials(World):
    """A relay with upstreams a, b, c, to be tried in that order, on ports 1, 2, 3."""

    def begun(self) -> str:
        """The upstreams that were connected to, in order."""
        return "".join("?abc"[port] for _, port, *_ in self.reactor.tcpClients)

    def refuse_port(self, error: Exception | None = None) -> None:
        """The connection that was last begun fails."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        reason = Failure(error or ConnectionRefusedError())
        factory.clientConnectionFailed(self.reactor.connectors[-1], reason)

    def answers(self, status: int, *headers: str) -> Line:
        """The upstream that was last connected to refuses so."""
        line = self.connected()
        line.deliver(answer(status, *headers))
        return line

    def outcomes(self) -> list[tuple[str, str]]:
        """What the one record says of each attempt."""
        (record,) = self.listener.holds
        return [(attempt.upstream, attempt.outcome) for attempt in record.attempts]


def dials(names: str = "a", settings: Settings | None = None, **options: Any) -> Dials:
    upstreams = [
        Upstream(f"ws://127.0.0.1:{port}/v1/realtime", name, priority=port, **options)
        for port, name in enumerate(names, 1)
    ]
    return Dials(settings=settings or Settings(), upstreams=upstreams)


def told(downstream: Peer) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, error and headers of the HTTP answer."""
    head, _, body = downstream.line.take().decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), json.loads(body)["error"], headers


def close_all(world: World, *lines: Line) -> None:
    for line in lines:
        line.lose()
    assert world.is_clean()
    assert [standing.sessions for standing in world.factory.standings] == [0] * len(
        world.factory.standings
    )


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[LogLevel, str]]:
    """What the dial logs."""
    events: list[tuple[LogLevel, str]] = []

    def emit(self: Logger, level: LogLevel, format: str, **fields: Any) -> None:
        events.append((level, format.format(**fields)))

    monkeypatch.setattr("relay.dial.dialer._log", type("Quiet", (Logger,), {"emit": emit})())
    return events


# -- failover ------------------------------------------------------------------------------


def test_each_upstream_is_tried_once_in_order() -> None:
    world = dials("abc")
    downstream = world.downstream()
    world.answers(500)
    world.refuse_port()
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]
    assert world.begun() == "abc"
    expected = [("a", "upstream_refused"), ("b", "upstream_connect_failed"), ("c", "open")]
    assert world.outcomes() == expected


def test_the_last_attempts_refusal_is_told() -> None:
    world = dials("ab")
    downstream = world.downstream()
    world.refuse_port()
    world.answers(429)
    status, error, headers = told(downstream)
    assert (status, error["code"], error["attempts"]) == (503, "upstream_rate_limited", 2)
    assert error["upstream"]["name"] == "b"
    assert headers["retry-after"] == "5"
    close_all(world, downstream.line)


def test_an_upstream_with_a_successor_gets_half_of_the_remaining_time() -> None:
    world = dials("abc")
    downstream = world.downstream()
    for spent, begun in ((HOLD / 2, "ab"), (HOLD / 4, "abc")):
        world.advance(spent - 0.1)
        assert world.begun() == begun[:-1]
        world.advance(0.1)
        assert world.begun() == begun
    world.advance(HOLD / 4 - 0.1)
    assert downstream.line.sent == b""
    world.advance(0.1)
    status, error, _ = told(downstream)
    assert (status, error["code"], error["attempts"]) == (504, "upstream_timeout", 3)
    assert world.outcomes() == [(name, "upstream_timeout") for name in "abc"]
    (record,) = world.listener.holds
    assert [attempt.seconds for attempt in record.attempts] == [4.0, 2.0, 2.0]
    close_all(world, downstream.line)


def test_an_attempt_that_is_cut_for_the_next_leaves_nothing_open() -> None:
    world = dials("ab")
    downstream = world.downstream()
    upstream = world.answering()
    world.advance(HOLD / 2)
    assert upstream.line.lost is not None
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]


def test_a_timeout_is_not_told_when_another_refused_after_it() -> None:
    world = dials("ab")
    downstream = world.downstream()
    world.advance(HOLD / 2)
    world.answers(401)
    assert told(downstream)[1]["code"] == "upstream_unauthorized"


def test_a_callers_own_mistake_ends_the_dial() -> None:
    world = dials("ab")
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send('{"type":"error","error":{"code":"invalid_model","message":"no"}}')
    upstream.send_close(4000)
    assert told(downstream)[1]["code"] == "upstream_rejected_request"
    assert world.begun() == "a"


def test_after_a_callers_own_mistake_no_earlier_failure_is_retried() -> None:
    world = dials("ab")
    downstream = world.downstream()
    gateway(world)
    world.answering().send('{"type":"error","error":{"code":"invalid_model","message":"no"}}')
    world.advance(CLOSE_SECONDS)
    assert told(downstream)[1]["code"] == "upstream_rejected_request"
    assert world.begun() == "ab"


def test_a_model_that_no_upstream_takes_is_refused_at_once() -> None:
    world = dials("ab", models={"known": "k"})
    status, error, _ = told(world.downstream("/v1/realtime?model=unknown"))
    assert (status, error["code"], error["attempts"]) == (403, "model_not_allowed", 0)
    assert error["message"] == "Choose a model that this relay allows: known."
    assert world.begun() == ""


def test_each_upstream_is_asked_for_the_model_by_its_own_name() -> None:
    world = dials(models={"known": "k 1"})
    world.downstream("/v1/realtime?model=known")
    assert world.connected().take().startswith(b"GET /v1/realtime?model=k%201 ")


# -- the one retry -------------------------------------------------------------------------


def drop(world: Dials) -> None:
    world.connected().reset()


def reset_at_once(world: Dials) -> None:
    world.refuse_port(ConnectError(errno.ECONNRESET))


def drop_after_101(world: Dials) -> None:
    world.answering().line.fin()


def gateway(world: Dials) -> None:
    world.answers(502)


RETRIED = [drop, reset_at_once, drop_after_101, gateway]


@pytest.mark.parametrize("fail", RETRIED)
def test_a_failure_that_may_pass_at_once_is_retried_once(fail: Any) -> None:
    world = dials()
    downstream = world.downstream()
    fail(world)
    assert world.begun() == "aa"
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]
    (record,) = world.listener.holds
    assert [attempt.is_retry for attempt in record.attempts] == [False, True]


@pytest.mark.parametrize("fail", RETRIED)
def test_a_retry_that_fails_is_not_retried(fail: Any) -> None:
    world = dials()
    downstream = world.downstream()
    fail(world)
    fail(world)
    assert told(downstream)[1]["attempts"] == 2
    assert world.begun() == "aa"
    close_all(world, downstream.line)


def silence(world: Dials) -> None:
    world.advance(HOLD)


def refused_port(world: Dials) -> None:
    world.refuse_port()


def no_descriptor(world: Dials) -> None:
    world.refuse_port(ConnectError(errno.EMFILE))


@pytest.mark.parametrize(
    "fail",
    [silence, refused_port, no_descriptor, *(lambda w, s=s: w.answers(s) for s in (500, 401, 429))],
)
def test_a_failure_that_would_come_again_is_not_retried(fail: Any) -> None:
    world = dials()
    downstream = world.downstream()
    fail(world)
    told(downstream)
    assert world.begun() == "a"


@pytest.mark.parametrize(
    ("lacking", "error"),
    [
        ("EMFILE", ConnectBindError(errno.EMFILE)),
        ("EADDRNOTAVAIL", ConnectError(errno.EADDRNOTAVAIL)),
        ("ENOBUFS", ConnectError(errno.ENOBUFS)),
    ],
)
def test_what_the_relay_lacks_itself_is_relay_full_and_opens_no_breaker(
    lacking: str, error: Exception
) -> None:
    world = dials()
    for _ in range(FAILURES + 1):
        downstream = world.downstream()
        world.refuse_port(error)
        status, body, headers = told(downstream)
        assert (status, body["code"], body["retryable"]) == (503, "relay_full", True)
        assert "operator must" in body["message"]
        assert headers["retry-after"]
    (standing,) = world.factory.standings
    assert standing.breaker_state == "closed"
    assert {a.error for record in world.listener.holds for a in record.attempts} == {lacking}


def test_a_missing_route_is_not_told_as_missing_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.dial.connector._leads_to", lambda address: False)
    world = dials()
    downstream = world.downstream()
    world.refuse_port(ConnectError(errno.EADDRNOTAVAIL))
    assert told(downstream)[1]["code"] == "upstream_connect_failed"
    assert world.listener.holds[0].attempts[0].error == "NoRouteError"


@pytest.mark.parametrize(
    ("lacking", "error"),
    [("EMFILE", OSError(errno.EMFILE, "")), ("NoThread", NoThread("can't start new thread"))],
)
def test_what_the_relay_lacks_for_a_look_up_is_relay_full(
    monkeypatch: pytest.MonkeyPatch, lacking: str, error: Exception
) -> None:
    async def fail(resolver: object, name: str) -> NoReturn:
        raise error

    monkeypatch.setattr("relay.dial.resolver.Resolver.resolve", fail)
    world = dials()
    downstream = world.downstream()
    assert told(downstream)[1]["code"] == "relay_full"
    (attempt,) = world.listener.holds[0].attempts
    assert (attempt.stage, attempt.error) == ("dns", lacking)


def test_an_upstream_that_asks_for_a_second_is_retried_after_it() -> None:
    world = dials()
    downstream = world.downstream()
    world.answers(429, "Retry-After: 1")
    world.advance(0.9)
    assert world.begun() == "a"
    world.advance(0.1)
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "said"), [("2", "2"), ("Sun, 06 Nov 2094 08:49:37 GMT", "5")])
def test_an_upstream_that_asks_for_more_than_a_second_is_not_retried(
    status: int, asked: str, said: str
) -> None:
    world = dials()
    downstream = world.downstream()
    world.answers(status, f"Retry-After: {asked}")
    _, error, headers = told(downstream)
    assert (error["attempts"], headers["retry-after"]) == (1, said)


def test_a_retry_that_would_come_too_late_is_not_made() -> None:
    world = dials()
    downstream = world.downstream()
    line = world.connected()
    world.advance(HOLD - 1)
    line.deliver(answer(429, "Retry-After: 1"))
    assert told(downstream)[1]["code"] == "upstream_rate_limited"


def test_a_client_that_leaves_before_the_retry_stops_it() -> None:
    world = dials()
    downstream = world.downstream()
    world.answers(429, "Retry-After: 1")
    downstream.line.reset()
    world.advance(1)
    assert world.begun() == "a"
    close_all(world)


def test_no_retry_passes_a_breaker_that_opened_meanwhile() -> None:
    world = dials()
    downstream = world.downstream()
    world.answers(503, "Retry-After: 1")
    world.advance(0.5)
    break_it(world, FAILURES - 1)
    world.advance(0.5)
    assert world.begun() == "a" * FAILURES
    assert told(downstream)[1]["code"] == "upstream_refused"
    close_all(world, downstream.line)


def test_no_retry_goes_to_an_upstream_that_filled_up_meanwhile() -> None:
    world = dials(max_sessions=1)
    downstream = world.downstream()
    world.answers(503, "Retry-After: 1")
    world.open()
    world.advance(1)
    assert in_use(world) == [1]
    assert told(downstream)[1]["code"] == "upstream_refused"


def test_another_upstream_comes_before_the_retry() -> None:
    world = dials("ab")
    downstream = world.downstream()
    drop(world)
    assert world.begun() == "ab"
    world.answers(401)
    assert world.begun() == "aba"
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]


def test_a_flapping_upstream_is_not_flooded() -> None:
    world = dials(breaker=False)
    holds = 100
    for _ in range(holds):
        downstream = world.downstream()
        drop(world)
        if not downstream.line.sent:
            drop(world)
        told(downstream)
        downstream.line.lose()
    assert holds * 1.1 <= len(world.begun()) + 1
    assert len(world.begun()) <= holds * 1.1 + LEAST


# -- breakers ------------------------------------------------------------------------------


def open_breaker(world: Dials, place: int, refusal: Refusal = TIMEOUT) -> None:
    """By failures that took no time."""
    standing = world.factory.standings[place]
    while standing.breaker_state == "closed":
        standing.failed(refusal, standing.begin())
        standing.end()


def break_it(world: Dials, failures: int = FAILURES) -> None:
    for _ in range(failures):
        downstream = world.downstream()
        world.refuse_port()
        told(downstream)
        downstream.line.lose()


DATE = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each breaker's wait is as long as its interval."""
    monkeypatch.setattr("relay.factory.random", lambda: 0.5)


def says(text: str, pattern: str) -> bool:
    """Whether all of the text is the pattern, where that has a date for each C{DATE}."""
    return re.fullmatch(re.escape(pattern).replace("DATE", DATE), text) is not None


@pytest.mark.parametrize("query", ["?model=no%20api%20key", "?call_id=no+api+key"])
def test_the_callers_own_words_open_no_breaker(query: str) -> None:
    world = dials()
    downstream = world.downstream(f"/v1/realtime{query}")
    upstream = world.answering()
    upstream.send('{"type":"error","error":{"message":"No such thing: no api key."}}')
    upstream.send_close(1008)
    assert told(downstream)[1]["code"] == "upstream_refused"
    assert world.factory.standings[0].breaker_state == "closed"
    close_all(world, downstream.line)


@pytest.mark.usefixtures("in_time")
def test_an_open_breaker_refuses_a_hold_at_once_and_says_why(
    logged: list[tuple[LogLevel, str]],
) -> None:
    world = dials()
    break_it(world)
    assert world.begun() == "a" * FAILURES
    world.advance(0.25)
    downstream = world.downstream()
    status, error, headers = told(downstream)
    assert (status, error["code"], error["attempts"]) == (503, "upstream_unavailable", 0)
    assert (error["retryable"], error["cause"]) == (True, "upstream_connect_failed")
    assert error["upstream"] == {"name": "a", "stage": "tcp", "status": None, "request_id": None}
    assert says(error["since"], "DATE")
    message = "The upstream is failing (upstream_connect_failed since DATE); wait."
    assert says(error["message"], message)
    assert headers["retry-after"] == "1"
    assert world.begun() == "a" * FAILURES
    ((level, line),) = logged
    assert level == LogLevel.warn
    assert says(
        line,
        "breaker of a is open: Nothing listens there; look at the port in the URL."
        " (upstream_connect_failed since DATE; the next try is in 1.0 s)",
    )
    record = world.listener.holds[-1]
    assert (record.outcome, record.attempted) == ("upstream_unavailable", 0)
    downstream.line.lose()
    close_all(world)


@pytest.mark.usefixtures("in_time")
def test_after_the_interval_one_hold_tries_and_its_success_closes_the_breaker(
    logged: list[tuple[LogLevel, str]],
) -> None:
    world = dials()
    break_it(world)
    world.advance(FIRST)
    trying = world.downstream()
    world.advance(3)
    _, error, headers = told(world.downstream())
    assert (error["code"], error["cause"]) == ("upstream_unavailable", "upstream_connect_failed")
    assert headers["retry-after"] == "1"
    assert world.begun() == "a" * (FAILURES + 1), "one at a time"
    world.answering().send(CREATED)
    trying.read()
    assert trying.received == [CREATED]
    world.open()
    ((level, line),) = logged[1:]
    assert level == LogLevel.info
    assert says(line, "breaker of a is closed (upstream_connect_failed since DATE is over)")


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("left_by", ["leaving", "failing"])
def test_a_try_that_ends_without_a_session_keeps_others_out_for_its_interval(left_by: str) -> None:
    world = dials()
    break_it(world)
    world.advance(FIRST)
    trying = world.downstream()
    world.refuse_port() if left_by == "failing" else trying.line.reset()
    assert told(world.downstream())[2]["retry-after"] == "1"
    world.advance(FIRST)
    world.downstream()
    assert world.begun() == "a" * (FAILURES + 2)


@pytest.mark.usefixtures("in_time")
def test_a_long_try_whose_client_leaves_lets_the_next_try_at_once() -> None:
    world = dials()
    break_it(world)
    world.advance(FIRST)
    trying = world.downstream()
    world.advance(FIRST)
    assert told(world.downstream())[1]["code"] == "upstream_unavailable"
    trying.line.reset()
    world.downstream()
    assert world.begun() == "a" * (FAILURES + 2)


@pytest.mark.usefixtures("in_time")
def test_a_try_that_an_error_of_the_relays_own_ends_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(attempt: object, head: object, grant: object) -> NoReturn:
        raise ValueError("a bug")

    world = dials()
    break_it(world)
    world.advance(FIRST)
    with monkeypatch.context() as broken:
        broken.setattr("relay.dial.attempt.Attempt.open", fail)
        assert told(world.downstream())[1]["code"] == "internal_error"
    world.advance(FIRST)
    world.downstream()
    assert world.begun() == "a" * (FAILURES + 1)


def wrong_key(world: Dials) -> None:
    world.answers(401)


def wrong_key_in_band(world: Dials) -> None:
    upstream = world.answering()
    upstream.send('{"type":"error","error":{"code":"invalid_api_key","message":"no"}}')
    upstream.send_close(3000)


def no_quota(world: Dials) -> None:
    text = json.dumps({"error": {"code": "insufficient_quota"}})
    head = f"HTTP/1.1 429 X\r\nContent-Length: {len(text)}\r\n\r\n"
    world.connected().deliver((head + text).encode())


BAD_KEY = "The key is wrong, revoked, or may not use this API or model."
MENDED_BY_AN_OPERATOR = [
    (wrong_key, "upstream_unauthorized", BAD_KEY),
    (wrong_key_in_band, "upstream_unauthorized", BAD_KEY),
    (no_quota, "upstream_quota_exhausted", "The account has no quota left; look at its billing."),
]


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize(("refuse_it", "code", "likely"), MENDED_BY_AN_OPERATOR)
def test_after_a_refused_key_or_a_used_up_quota_all_are_told_that(
    logged: list[tuple[LogLevel, str]], refuse_it: Any, code: str, likely: str
) -> None:
    world = dials()
    downstream = world.downstream()
    refuse_it(world)
    first, error, _ = told(downstream)
    assert (first, error["code"], error["attempts"]) == (502, code, 1)
    status, again, headers = told(world.downstream())
    assert (status, again["code"], again["attempts"]) == (502, code, 0)
    assert (again["retryable"], headers["x-should-retry"]) == (False, "false")
    assert again["upstream"] == error["upstream"]
    assert "retry-after" not in headers
    assert says(again["since"], "DATE")
    assert says(again["message"], error["message"].removesuffix(".") + " (since DATE).")
    assert world.begun() == "a"
    ((level, line),) = logged
    assert level == LogLevel.error
    tail = f"{likely} ({code} since DATE; the next try is in 10.0 s)"
    assert says(line, f"breaker of a is open: {tail}")
    record = world.listener.holds[-1]
    assert (record.outcome, record.attempted) == (code, 0)
    assert [attempt.outcome for attempt in record.attempts] == ["upstream_unavailable"]


def test_a_browser_is_told_in_band_that_the_key_is_refused() -> None:
    world = dials()
    world.downstream()
    world.answers(401)
    browser = world.downstream(agent="Mozilla/5.0", origin="http://localhost:3000")
    browser.read()
    (event,) = browser.received
    error = json.loads(event)["error"]
    assert (error["code"], error["attempts"]) == ("upstream_unauthorized", 0)
    assert says(error["since"], "DATE")
    assert browser.close == (4502, "relay: upstream_unauthorized")


@pytest.mark.parametrize("status", [400, 405, 404, 429])
def test_an_answer_about_the_request_never_opens_the_breaker(status: int) -> None:
    world = dials()
    for _ in range(2 * FAILURES):
        told_of = world.downstream()
        world.answers(status)
        assert told(told_of)[1]["code"] != "upstream_unavailable"


def test_clients_that_leave_and_missing_descriptors_never_open_the_breaker() -> None:
    world = dials()
    for _ in range(2 * FAILURES):
        world.downstream().line.reset()
        downstream = world.downstream()
        no_descriptor(world)
        assert told(downstream)[1]["code"] == "relay_full"


def test_five_timeouts_open_the_breaker() -> None:
    world = dials()
    for _ in range(FAILURES):
        downstream = world.downstream()
        world.advance(HOLD)
        assert told(downstream)[1]["code"] == "upstream_timeout"
    _, error, _ = told(world.downstream())
    assert (error["code"], error["cause"]) == ("upstream_unavailable", "upstream_timeout")


def test_after_an_open_breaker_the_next_upstream_has_all_the_time() -> None:
    world = dials("ab")
    for _ in range(FAILURES):
        world.downstream()
        world.refuse_port()
        world.answering().send(CREATED)
    downstream = world.downstream()
    assert world.begun() == "ab" * FAILURES + "b"
    world.advance(HOLD - 0.1)
    assert downstream.line.sent == b""
    world.answering().send(CREATED)
    downstream.read()
    assert downstream.received == [CREATED]
    attempts = world.listener.holds[-1].attempts
    assert [a.outcome for a in attempts] == ["upstream_unavailable", "open"]


def test_before_an_open_breaker_an_upstream_has_all_the_time() -> None:
    world = dials("ab")
    open_breaker(world, 1)
    downstream = world.downstream()
    world.advance(HOLD - 0.1)
    assert (world.begun(), downstream.line.sent) == ("a", b"")


@pytest.mark.usefixtures("in_time")
def test_an_upstream_that_is_free_only_when_the_time_is_up_is_not_tried() -> None:
    world = dials("ab")
    open_breaker(world, 1, refuse("upstream_unauthorized"))
    world.advance(MOST - HOLD / 2)
    downstream = world.downstream()
    world.advance(HOLD)
    assert told(downstream)[1]["upstream"]["name"] == "a"
    assert world.begun() == "a"
    assert world.factory.standings[1].refusal() is None


@pytest.mark.usefixtures("in_time")
def test_when_all_are_passed_over_the_one_that_may_be_tried_soonest_is_told() -> None:
    world = dials("abc")
    open_breaker(world, 0, refuse("upstream_timeout"))
    open_breaker(world, 2, refuse("upstream_unauthorized"))
    world.advance(0.3)
    open_breaker(world, 1, refuse("upstream_dns_failed"))
    _, error, headers = told(world.downstream())
    assert (error["upstream"]["name"], headers["retry-after"]) == ("a", "1")


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_an_upstream_that_may_come_back_is_told_before_one_that_an_operator_must_mend(
    names: str,
) -> None:
    world = dials(names)
    open_breaker(world, names.index("a"))
    open_breaker(world, names.index("b"), refuse("upstream_unauthorized"))
    status, error, _ = told(world.downstream())
    assert (status, error["upstream"]["name"]) == (503, "a")


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_two_seconds_after_a_restart_all_clients_have_sessions(seconds: float) -> None:
    """Each comes again a second after it was refused."""
    world = dials()
    waiting = {number: 0.05 * number for number in range(20)}
    now, served = 0.0, {}
    while waiting:
        for number in [number for number, at in waiting.items() if at <= now]:
            begun = len(world.begun())
            downstream = world.downstream()
            if len(world.begun()) > begun:
                if now >= seconds:
                    world.answering().send(CREATED)
                else:
                    world.refuse_port()
            downstream.read()
            waiting[number] = now + 1
            if downstream.received:
                served[number] = now
                del waiting[number]
        world.advance(0.05)
        now += 0.05
    assert max(served.values()) - seconds < 2.5


# -- how many at once ----------------------------------------------------------------------


def in_use(world: World) -> Sequence[int]:
    return [standing.sessions for standing in world.factory.standings]


def test_a_full_upstream_is_passed_over() -> None:
    world = dials("ab", max_sessions=1)
    first, upstream = world.open()
    assert in_use(world) == [1, 0]
    second, _ = world.open()
    assert in_use(world) == [1, 1]
    status, error, _ = told(world.downstream())
    assert (status, error["code"], error["attempts"]) == (503, "relay_full", 0)
    upstream.line.lose()
    assert in_use(world) == [0, 1]
    third, _ = world.open()
    assert [peer.received for peer in (first, second, third)] == [[CREATED]] * 3


@pytest.mark.parametrize("fail", [refused_port, silence, drop_after_101])
def test_an_attempt_that_fails_frees_its_connection_count(fail: Any) -> None:
    world = dials(max_sessions=1, breaker=False)
    downstream = world.downstream()
    assert in_use(world) == [1]
    fail(world)
    world.advance(HOLD)
    assert in_use(world) == [0]
    downstream.line.lose()


def test_a_hold_whose_client_leaves_frees_its_connection_count() -> None:
    world = dials(max_sessions=1)
    world.downstream().line.reset()
    assert in_use(world) == [0]


@pytest.mark.parametrize("stays", [False, True])
def test_an_upstream_that_breaks_the_protocol_before_a_session_can_read_why(stays: bool) -> None:
    world = dials()
    downstream = world.downstream("/v1/realtime?model=m")
    upstream = world.answering()
    upstream.line.deliver(b"\x83\x00")  # a reserved opcode
    assert told(downstream)[1]["code"] == "upstream_refused"
    upstream.read()
    assert upstream.close == (1002, "relay: data frame using reserved opcode 3")
    assert upstream.line.lost is None, "a reset would destroy the Close"
    if stays:
        world.advance(Limits().linger_seconds + 0.1)
        assert upstream.line.lost is not None
    else:
        upstream.line.lose()
    close_all(world, downstream.line)
