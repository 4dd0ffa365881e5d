"""Calls in memory: what is posted to the upstream, what comes back, and what is refused."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest
from attrs import define
from memory import World, keyed
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from relay import Grant, GrantLimits, Limits, Policy, Settings, Upstream
from relay.config.policy import PolicyTable
from relay.downstream.call import MOST_SDP
from relay.http.form import fields_in
from relay.testing.peers import Line
from relay.upstreams.breaker import FAILURES
from relay.upstreams.call_ids import marked

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
ANSWER = "v=0\r\no=- 3 4 IN IP4 127.0.0.1\r\n"
CALLS = "/v1/realtime/calls"
TRANSLATIONS = "/v1/realtime/translations/calls"
LIVE = "/v1/live/sessions"
NOW = 1_800_000_000
KEY = "sk-of-the-relay-0123456789"
SDP = "application/sdp"
JSON = "application/json"

Told = tuple[int, dict[str, str], bytes]


def form(**fields: str) -> tuple[str, bytes]:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return "multipart/form-data; boundary=b", ("".join(parts) + "--b--\r\n").encode()


def parts_of(line: Line) -> tuple[str, dict[str, str], bytes]:
    """The first line, the headers and the body of what came."""
    head, _, body = line.take().partition(b"\r\n\r\n")
    first, *rows = head.decode().split("\r\n")
    headers = dict(row.split(": ", 1) for row in rows)
    return first, {name.lower(): value for name, value in headers.items()}, body


@define
class Calls(World):
    """A relay whose upstreams take calls, and a client of it."""

    def post(
        self,
        body: bytes | str = OFFER,
        kind: str = SDP,
        path: str = CALLS,
        key: str = "anything",
        method: str = "POST",
        **headers: str,
    ) -> Line:
        data = body.encode() if isinstance(body, str) else body
        line = self.accept()
        fields = {
            "Host": "localhost",
            "Authorization": f"Bearer {key}",
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            **headers,
        }
        rows = [f"{name}: {value}" for name, value in fields.items()]
        line.deliver("\r\n".join([f"{method} {path} HTTP/1.1", *rows, "", ""]).encode() + data)
        return line

    def session(self, **fields: Any) -> Line:
        kind, body = form(sdp=OFFER, session=json.dumps(fields))
        return self.post(body, kind)

    def answers(self, status: int = 201, body: str = ANSWER, *headers: str) -> dict[str, Any]:
        """The upstream that was last connected to answers so; what it was asked."""
        line = self.connected()
        first, fields, posted = parts_of(line)
        rows = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "", ""]
        line.deliver(("\r\n".join(rows) + body).encode())
        line.lose()
        return {"first": first, "headers": fields, "body": posted}

    def places(self, call_id: str = "rtc_1") -> dict[str, Any]:
        """The upstream sets up a call."""
        return self.answers(201, ANSWER, f"Content-Type: {SDP}", f"Location: {CALLS}/{call_id}")


def told(line: Line) -> Told:
    first, headers, body = parts_of(line)
    return int(first.split()[1]), headers, body


def code_of(line: Line) -> tuple[int, str]:
    status, _, body = told(line)
    return status, json.loads(body)["error"]["code"]


def calls(*names: str, **more: Any) -> Calls:
    upstreams = [
        Upstream(f"ws://127.0.0.1:{port}/v1/realtime", name, credential=KEY, priority=port)
        for port, name in enumerate(names or ("a",), 1)
    ]
    return Calls(upstreams=upstreams, **more)


def session_of(asked: dict[str, Any]) -> dict[str, Any]:
    fields = fields_in(asked["headers"]["content-type"], asked["body"])
    assert fields["sdp"].decode() == OFFER
    session: dict[str, Any] = json.loads(fields["session"])
    return session


# -- what crosses --------------------------------------------------------------------------


def test_an_offer_goes_upstream_as_a_form_with_the_relays_key_and_the_answer_comes_back() -> None:
    world = calls()
    line = world.post(**{"X-OpenAI-Agents-SDK": "openai-agents-sdk.0.20.0", "Cookie": "a=b"})
    asked = world.places()
    assert asked["first"] == "POST /v1/realtime/calls HTTP/1.1"
    assert asked["headers"]["authorization"] == f"Bearer {KEY}"
    assert asked["headers"].keys() == {
        "host", "connection", "authorization", "content-type", "content-length",
    }  # fmt: skip
    assert session_of(asked) == {"type": "realtime"}
    status, headers, body = told(line)
    assert (status, body.decode()) == (201, ANSWER)
    assert headers["content-type"] == SDP
    assert headers["location"] == f"{CALLS}/rtc_1"
    assert headers["x-request-id"].startswith("req_")
    (record,) = world.listener.calls
    (attempt,) = record.attempts
    assert (record.outcome, record.upstream, attempt.outcome) == ("called", "a", "open")
    assert attempt.stage == "response"
    assert {"dns", "tcp", "response"} == attempt.stages.keys()
    assert world.listener.answers[0].status == 201
    line.lose()
    assert world.is_clean()
    assert world.factory.standings[0].sessions == 0


@pytest.mark.parametrize("kind", ["form", "json"])
def test_the_session_that_a_client_asks_for_goes_upstream(kind: str) -> None:
    world = calls()
    session = {"type": "realtime", "model": "m", "audio": {"output": {"voice": "ash"}}}
    if kind == "form":
        world.session(**session)
    else:
        world.post(json.dumps({"sdp": OFFER, "session": session}), "application/json")
    assert session_of(world.places()) == session
    (record,) = world.listener.calls
    assert record.model == "m"


def test_a_model_in_the_query_is_the_sessions() -> None:
    world = calls()
    world.post(path=f"{CALLS}?model=m")
    asked = world.places()
    assert asked["first"] == "POST /v1/realtime/calls HTTP/1.1"
    assert session_of(asked)["model"] == "m"


def test_an_upstream_that_serves_the_model_gets_the_call_with_its_own_name_for_it() -> None:
    upstreams = [
        Upstream("ws://127.0.0.1:1/v1", "a", models={"other": "other"}),
        Upstream("ws://127.0.0.1:2/v1", "b", models={"m": "deployed"}),
    ]
    world = Calls(upstreams=upstreams)
    world.session(model="m")
    assert [port for _, port, *_ in world.reactor.tcpClients] == [2]
    assert session_of(world.places())["model"] == "deployed"
    assert code_of(world.session(model="x")) == (403, "model_not_allowed")


@pytest.mark.parametrize("base", ["", "/base"])
def test_with_several_upstreams_the_id_says_which_has_the_call(base: str) -> None:
    world = calls("a", "b", settings=Settings(base_path=base))
    line = world.post(path=base + CALLS)
    world.answers(500)
    world.places()
    place = told(line)[1]["location"]
    assert place == f"{base}{CALLS}/{marked('rtc_1', 'b')}"
    hangs_up = world.post(b"", path=f"{place}/hangup")
    assert [port for _, port, *_ in world.reactor.tcpClients] == [1, 2, 2]
    assert world.answers(200, "")["first"] == "POST /v1/realtime/calls/rtc_1/hangup HTTP/1.1"
    assert told(hangs_up)[0] == 200
    call_id = place.rpartition("/")[2]
    world.downstream(f"{base}/v1/realtime?call_id={call_id}")
    assert [port for _, port, *_ in world.reactor.tcpClients][-1] == 2
    first, _, _ = parts_of(world.connected())
    assert first == "GET /v1/realtime?call_id=rtc_1 HTTP/1.1"


@pytest.mark.parametrize("body", ["", '{"error": {"code": "call_id_not_found"}}'])
def test_an_id_that_names_no_upstream_is_looked_for_at_each(body: str) -> None:
    world = calls("a", "b")
    line = world.post(b"", path=f"{CALLS}/rtc_sip/hangup")
    assert world.answers(404, body)["first"].startswith("POST /v1/realtime/calls/rtc_sip/hangup ")
    world.answers(200, "")
    assert told(line)[0] == 200


@pytest.mark.parametrize(
    ("verb", "body", "sent"),
    [
        ("hangup", b"", b""),
        ("reject", b'{"status_code": 486}', b'{"status_code":486}'),
        ("refer", b'{"target_uri": "tel:+1"}', b'{"target_uri":"tel:+1"}'),
        ("accept", b'{"type": "realtime", "model": "m"}', b'{"type":"realtime","model":"m"}'),
    ],
)
def test_what_is_done_to_a_call_goes_upstream(verb: str, body: bytes, sent: bytes) -> None:
    world = calls()
    line = world.post(body, "application/json", f"{CALLS}/rtc_1/{verb}")
    asked = world.answers(200, "")
    assert asked["first"] == f"POST /v1/realtime/calls/rtc_1/{verb} HTTP/1.1"
    assert asked["body"] == sent
    status, headers, answer = told(line)
    assert (status, answer) == (200, b"")
    assert "content-type" not in headers


def test_a_live_call_is_json_both_ways() -> None:
    world = calls("a", "b")
    offer = {"session": {"model": "m"}, "transport": {"type": "webrtc", "sdp": OFFER}}
    line = world.post(json.dumps(offer), "application/json", LIVE)
    answer = {"session": {"id": "live_1"}, "transport": {"type": "webrtc", "sdp": ANSWER}}
    asked = world.answers(201, json.dumps(answer), "Content-Type: application/json")
    assert asked["first"] == "POST /v1/live/sessions HTTP/1.1"
    assert json.loads(asked["body"]) == offer
    status, _, body = told(line)
    live_id = marked("live_1", "a")
    assert (status, json.loads(body)["session"]["id"]) == (201, live_id)
    world.post(b"", path=f"{LIVE}/{live_id}/hangup")
    assert world.answers(200, "")["first"] == "POST /v1/live/sessions/live_1/hangup HTTP/1.1"
    accept = {"session": {"type": "live", "model": "m"}}
    world.post(json.dumps(accept), "application/json", f"{LIVE}/{live_id}/accept")
    assert json.loads(world.answers(200, "")["body"]) == accept
    world.downstream(f"{LIVE}/{live_id}/attach")
    assert parts_of(world.connected())[0] == "GET /v1/live/sessions/live_1/attach HTTP/1.1"


# -- the session is the relay's ------------------------------------------------------------


def test_what_a_grant_forces_is_in_the_session_whatever_the_client_asks_for() -> None:
    forced = {"instructions": "Be kind.", "audio": {"output": {"voice": "marin"}}}
    grant = Grant("ann", policy=Policy(force=forced, default={"max_output_tokens": 9}))
    world = calls(options={"admit": lambda request: grant})
    world.session(instructions="Be rude.", voice="ash", tools=[])
    session = session_of(world.places())
    assert session == {
        "type": "realtime", "tools": [], "max_output_tokens": 9, **forced,
    }  # fmt: skip


def test_the_one_model_of_a_grant_is_the_sessions() -> None:
    world = calls(options={"admit": lambda request: Grant(models=("m",))})
    world.post()
    assert session_of(world.places())["model"] == "m"
    assert code_of(world.session(model="x")) == (403, "model_not_allowed")


def test_a_grant_for_some_models_wants_one_named() -> None:
    world = calls(options={"admit": lambda request: Grant(models=("m", "n"))})
    assert code_of(world.post()) == (403, "model_not_allowed")
    assert world.reactor.tcpClients == []


@pytest.mark.parametrize(
    "policy",
    [
        PolicyTable(events=("session.update",)),
        PolicyTable(lock=("tools",)),
        PolicyTable(force={"instructions": "x"}),
    ],
)
def test_a_policy_that_no_call_can_be_held_to_has_no_calls(policy: PolicyTable) -> None:
    world = calls(settings=Settings(policy=policy))
    assert code_of(world.session(model="m")) == (501, "not_supported")
    world.post(b'{"type": "realtime", "model": "m"}', "application/json", f"{CALLS}/rtc_1/accept")
    session = json.loads(world.answers(200, "")["body"])
    assert session.items() >= policy.policy.force.items(), "a caller by SIP has no events"


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (Policy(lock=("tools",)), "Leave session.tools out"),
        (Policy(event_bytes=1024), "Send a smaller event"),
        (Policy(force={"type": "live"}), "session.type must be one of realtime"),
    ],
)
def test_what_a_policy_denies_in_the_session_of_an_accepted_call_is_400(
    policy: Policy, said: str
) -> None:
    world = calls(options={"admit": lambda request: Grant("ann", policy=policy)})
    session = {"type": "realtime", "model": "m", "tools": [], "instructions": "x" * 1024}
    line = world.post(json.dumps(session), JSON, f"{CALLS}/rtc_1/accept")
    status, _, body = told(line)
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (400, "bad_request")
    assert said in error["message"]
    assert world.reactor.tcpClients == []


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"session": 1}'])
def test_a_live_call_without_an_id_is_none(body: str) -> None:
    world = calls()
    offer = {"session": {"model": "m"}, "transport": {"type": "webrtc", "sdp": OFFER}}
    line = world.post(json.dumps(offer), JSON, LIVE)
    world.answers(201, body)
    assert code_of(line) == (502, "upstream_refused")


def test_who_has_a_budget_has_no_translation_by_a_call_because_its_usage_goes_past() -> None:
    world = calls(options={"admit": lambda request: Grant("a", GrantLimits(day_tokens=5))})
    assert code_of(world.post(path=TRANSLATIONS)) == (501, "not_supported")
    world.post(b"", path=f"{CALLS}/rtc_1/hangup")
    assert world.answers(200, "")["body"] == b""


# -- ephemeral secrets ---------------------------------------------------------------------


def secret_of(world: Calls, session: dict[str, Any]) -> str:
    body = json.dumps({"session": session})
    line = world.post(body, "application/json", "/v1/realtime/client_secrets")
    value: str = json.loads(told(line)[2])["value"]
    return value


def test_a_secret_sets_up_the_session_that_it_was_minted_for() -> None:
    world = calls()
    fields = {"model": "m", "instructions": "Be kind."}
    secret = secret_of(world, {"type": "realtime", **fields})
    world.post(key=secret)
    world.advance(1)
    assert session_of(world.places()) == {"type": "realtime", **fields}
    line = world.post(b"", path=f"{CALLS}/rtc_1/hangup", key=secret)
    world.advance(1)
    assert code_of(line) == (403, "unauthorized"), "no page ends the calls of others"


def test_a_secret_for_a_transcription_sets_up_one_and_no_conversation() -> None:
    world = calls()
    audio = {"input": {"transcription": {"model": "m"}}}
    secret = secret_of(world, {"type": "transcription", "audio": audio})
    world.post(key=secret)
    world.advance(1)
    assert session_of(world.places()) == {"type": "transcription", "audio": audio}
    kind, body = form(sdp=OFFER, session='{"type": "realtime"}')
    line = world.post(body, kind, key=secret)
    world.advance(1)
    assert code_of(line) == (403, "unauthorized")


def test_a_secret_for_a_conversation_sets_up_no_transcription() -> None:
    world = calls()
    secret = secret_of(world, {"type": "realtime", "instructions": "Be kind."})
    kind, body = form(sdp=OFFER, session='{"type": "transcription"}')
    line = world.post(body, kind, key=secret)
    world.advance(1)
    assert code_of(line) == (403, "unauthorized")


# -- who may, and how often ----------------------------------------------------------------


def test_a_wrong_key_is_refused_before_any_upstream_is_asked() -> None:
    world = calls(options={"admit": keyed("good")})
    line = world.post(key="bad")
    world.advance(1)
    assert code_of(line) == (401, "unauthorized")
    assert world.reactor.tcpClients == []
    assert [record.outcome for record in world.listener.holds] == ["unauthorized"]


def test_a_call_counts_as_a_hold_of_its_subject_and_as_no_session() -> None:
    limits = Limits(subject_sessions=1)
    world = calls(settings=Settings(limits=limits), options={"admit": lambda request: Grant("ann")})
    first = world.post()
    assert code_of(world.post()) == (429, "too_many_sessions")
    world.places()
    assert told(first)[0] == 201
    world.post()
    assert world.places()["first"].startswith("POST ")
    assert world.factory.active_sessions == 0


def test_a_relay_that_drains_takes_no_call() -> None:
    world = calls(settings=Settings(drain_delay_seconds=0.0))
    line = world.post()
    world.factory.drain()
    world.advance(20)
    assert code_of(line) in [(503, "draining"), (504, "upstream_timeout")]


# -- refusals ------------------------------------------------------------------------------


def asks(session: object) -> str:
    return json.dumps({"sdp": OFFER, "session": session})


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        ("", SDP, 400, "bad_request"),
        ("hello", SDP, 400, "bad_request"),
        (b"v=0\xff", SDP, 400, "bad_request"),
        (OFFER, "text/plain", 400, "bad_request"),
        ("[]", "application/json", 400, "bad_request"),
        ('{"sdp": 1}', "application/json", 400, "bad_request"),
        (asks(1), JSON, 400, "bad_request"),
        (asks({"model": 1}), JSON, 400, "bad_request"),
        (asks({"type": "x"}), JSON, 400, "bad_request"),
        ("--b\r\n", "multipart/form-data; boundary=b", 400, "bad_request"),
        ("x", "multipart/form-data", 400, "bad_request"),
        (form(sdp=OFFER, session="{")[1], form()[0], 400, "bad_request"),
        ("v=0" + "x" * MOST_SDP, SDP, 413, "body_too_large"),
    ],
)  # fmt: skip
def test_what_is_no_offer_is_refused(body: Any, kind: str, status: int, code: str) -> None:
    world = calls()
    assert code_of(world.post(body, kind)) == (status, code)
    assert world.reactor.tcpClients == []


def test_a_live_call_is_by_webrtc_only() -> None:
    body = json.dumps({"session": {}, "transport": {"type": "sip", "to": "tel:+1"}})
    assert code_of(calls().post(body, "application/json", LIVE)) == (400, "bad_request")


def test_a_call_is_posted() -> None:
    status, headers, _ = told(calls().post(method="PUT"))
    assert (status, headers["allow"]) == (405, "POST")


def test_an_upstream_that_refuses_is_told_as_for_a_websocket() -> None:
    world = calls()
    line = world.post()
    body = {"error": {"code": "invalid_api_key", "message": f"Incorrect API key: {KEY}"}}
    world.answers(401, json.dumps(body), "x-request-id: req_up")
    status, _, answer = told(line)
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (502, "upstream_unauthorized")
    facts = {"name": "a", "stage": "response", "status": 401, "request_id": "req_up"}
    assert error["upstream"].items() >= facts.items()
    assert KEY.encode() not in answer
    assert world.factory.standings[0].breaker_state == "open"


def test_a_model_that_upstream_lacks_is_the_callers_mistake() -> None:
    world = calls("a", "b")
    line = world.session(model="m")
    world.answers(400, json.dumps({"error": {"code": "model_not_found", "message": "No m."}}))
    assert code_of(line) == (404, "upstream_rejected_request")
    assert len(world.reactor.tcpClients) == 1, "no other upstream is asked"


@pytest.mark.parametrize("field", ["model", "instructions"])
def test_what_a_client_says_and_an_upstream_repeats_opens_no_breaker(field: str) -> None:
    world = calls()
    line = world.session(**{field: "invalid_api_key"})
    message = "It cannot be this: code: 'invalid_api_key'"
    world.answers(400, json.dumps({"error": {"code": "invalid_api_key", "message": message}}))
    assert code_of(line)[1] != "upstream_unauthorized"
    assert world.factory.standings[0].breaker_state == "closed"


def test_a_port_that_refuses_is_one_failure_and_the_next_upstream_is_tried() -> None:
    world = calls("a", "b")
    line = world.post()
    _, _, factory, _, _ = world.reactor.tcpClients[-1]
    factory.clientConnectionFailed(world.reactor.connectors[-1], Failure(ConnectionRefusedError()))
    world.places()
    assert told(line)[0] == 201
    (record,) = world.listener.calls
    assert [each.outcome for each in record.attempts] == ["upstream_connect_failed", "open"]
    assert record.attempts[0].stage == "tcp"


def test_a_connection_that_is_reset_at_once_was_to_answer() -> None:
    world = calls()
    line = world.post()
    for connector in range(2):  # it is tried once more
        _, _, factory, _, _ = world.reactor.tcpClients[connector]
        reset = ConnectError(errno.ECONNRESET)
        factory.clientConnectionFailed(world.reactor.connectors[connector], Failure(reset))
    _, _, body = told(line)
    error = json.loads(body)["error"]
    assert (error["code"], error["upstream"]["stage"]) == ("upstream_connect_failed", "response")


def test_failures_open_the_breaker_for_websockets_too() -> None:
    world = calls()
    for _ in range(FAILURES):
        line = world.post()
        world.answers(500)
        assert code_of(line)[1] == "upstream_refused"
    assert code_of(world.post()) == (503, "upstream_unavailable")
    assert world.factory.standings[0].breaker_state == "open"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 201 X\r\nContent-Length: 9\r\n\r\nv=0"])
def test_an_answer_that_breaks_off_is_none(said: bytes) -> None:
    world = calls()
    line = world.post()
    tried = 0
    while tried < len(world.reactor.tcpClients):  # the relay may try once more
        tried = len(world.reactor.tcpClients)
        upstream = world.connected()
        upstream.deliver(said)
        upstream.lose()
    status, code = code_of(line)
    assert (status, code) in [(502, "upstream_connect_failed"), (502, "upstream_refused")]


def test_an_answer_that_is_no_http_is_told() -> None:
    world = calls()
    line = world.post()
    upstream = world.connected()
    upstream.deliver(b"SSH-2.0-OpenSSH\r\n\r\n")
    upstream.lose()
    assert code_of(line) == (502, "upstream_refused")


def test_an_answer_that_is_too_long_is_none() -> None:
    world = calls()
    line = world.post()
    world.answers(201, "v=0" + "x" * 300_000)
    assert code_of(line) == (502, "upstream_refused")


def test_an_upstream_that_does_not_answer_is_given_up_at_the_holds_deadline() -> None:
    world = calls()
    line = world.post()
    upstream = world.connected()
    world.advance(Settings().hold_seconds - 0.1)
    assert line.sent == b""
    world.advance(0.2)
    status, _, body = told(line)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["upstream"]["stage"]) == (
        504,
        "upstream_timeout",
        "response",
    )
    assert upstream.lost is not None
    line.lose()
    assert world.is_clean()


def test_a_client_that_leaves_takes_the_request_with_it() -> None:
    world = calls()
    line = world.post()
    upstream = world.connected()
    line.lose()
    assert upstream.lost is not None
    assert [record.outcome for record in world.listener.holds] == ["left"]
    assert world.is_clean()


def test_upstreams_without_calls_have_none() -> None:
    world = Calls(upstreams=[Upstream("ws://127.0.0.1:1/v1", provider="xai")])
    assert code_of(world.post()) == (501, "not_supported")


# -- the end of a grant --------------------------------------------------------------------


def ending(seconds: float, **more: Any) -> Calls:
    grant = Grant("ann", expires=NOW + seconds, end_on_expiry=True)
    return calls("a", "b", options={"admit": lambda request: grant}, **more)


@pytest.fixture
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW)


@pytest.mark.usefixtures("_now")
def test_a_translation_is_hung_up_at_its_upstream_when_its_grant_ends() -> None:
    world = ending(30)
    world.post(path=TRANSLATIONS)
    world.answers(500)
    world.places()
    world.advance(29.9)
    assert len(world.reactor.tcpClients) == 2
    world.advance(0.2)
    asked = world.answers(200, "")
    assert [port for _, port, *_ in world.reactor.tcpClients] == [1, 2, 2]
    assert asked["first"] == "POST /v1/realtime/calls/rtc_1/hangup HTTP/1.1"
    assert asked["headers"]["authorization"] == f"Bearer {KEY}"


@pytest.mark.usefixtures("_now")
@pytest.mark.parametrize(
    ("status", "told"), [(200, "hung up the call"), (500, "could not be hung up: upstream_refused")]
)
def test_the_log_says_whether_a_call_was_hung_up(
    monkeypatch: pytest.MonkeyPatch, status: int, told: str
) -> None:
    logged: list[str] = []

    def emit(self: Logger, level: LogLevel, format: str, **fields: Any) -> None:
        logged.append(format.format(**fields))

    monkeypatch.setattr("relay.downstream.hang_ups._log", type("L", (Logger,), {"emit": emit})())
    world = ending(30)
    line = world.post(path=TRANSLATIONS)
    world.places()
    line.lose()
    world.advance(30.1)
    world.answers(status, "")
    (said,) = logged
    assert told in said
    assert world.is_clean()


@pytest.mark.usefixtures("_now")
def test_what_is_only_done_to_a_call_ends_nothing_later() -> None:
    world = ending(30)
    line = world.post(b"", path=f"{CALLS}/rtc_1/hangup")
    world.answers(200, "")
    line.lose()
    assert world.is_clean()


@pytest.mark.usefixtures("_now")
def test_a_call_that_could_not_be_ended_is_not_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ending(30)
    line = world.post(path=TRANSLATIONS)
    world.answers(201, ANSWER)
    assert code_of(line) == (502, "upstream_refused")
    monkeypatch.setattr("relay.downstream.hang_ups.MOST", 0)
    assert code_of(world.post(path=TRANSLATIONS)) == (503, "relay_full")


@pytest.mark.usefixtures("_now")
@pytest.mark.parametrize("end", ["abort", "drain"])
def test_a_relay_that_ends_leaves_no_timer(end: str) -> None:
    world = ending(3600, settings=Settings(drain_delay_seconds=0.0))
    line = world.post(path=TRANSLATIONS)
    world.places()
    line.lose()
    getattr(world.factory, end)()
    world.advance(5)
    assert world.is_clean()


# -- a page --------------------------------------------------------------------------------


def test_a_page_may_send_what_the_sdk_sends_and_read_where_the_call_is() -> None:
    world = calls()
    origin = {"Origin": "http://localhost:3000"}
    line = world.accept()
    asks = {
        "Host": "localhost",
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk",
    }
    rows = [f"{name}: {value}" for name, value in asks.items()]
    line.deliver("\r\n".join([f"OPTIONS {CALLS} HTTP/1.1", *rows, "", ""]).encode())
    status, headers, _ = told(line)
    assert status == 204
    allowed = headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "x-openai-agents-sdk"} == {*allowed}
    line = world.post(**origin)
    world.places()
    status, headers, _ = told(line)
    assert headers["access-control-allow-origin"] == origin["Origin"]
    assert "Location" in headers["access-control-expose-headers"].split(", ")
