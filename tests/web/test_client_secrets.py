"""POST /v1/realtime/client_secrets in memory: who may mint, what, and what comes of it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory import World, keyed

from relay import Grant, GrantLimits, Settings, refuse
from relay.admission.evenly import EVEN_SECONDS
from relay.policy.policy import Policy
from relay.rules.refusals import Refused
from relay.testing.peers import Peer, client
from relay.web.client_secrets import LONGEST, order_in

NOW = 1_800_000_000
PATHS = [
    "/v1/realtime/client_secrets",
    "/openai/v1/realtime/client_secrets",
    "/v1//realtime/client_secrets/",
]
TRANSLATIONS = [path.replace("/client", "/translations/client") for path in PATHS]
MINE = "Authorization: Bearer mine"

Told = tuple[int, dict[str, str], Any]


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW + 0.9)


def guarded(grant: Grant | None = None, **options: Any) -> World:
    def admit(request: Any) -> Any:
        return (grant or Grant("shop")) if request.credential == "mine" else refuse("unauthorized")

    return World(options={"admit": admit}, **options)


def post(
    world: World, body: Any = None, *fields: str, path: str = PATHS[0], method: str = "POST"
) -> Told:
    line = world.accept()
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}"]
    line.deliver("\r\n".join([*lines, *fields, "", ""]).encode() + data)
    head, _, rest = line.take().partition(b"\r\n\r\n")
    line.lose()
    first, *rows = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (row.partition(": ") for row in rows)}
    return int(first.split()[1]), headers, json.loads(rest) if rest else None


def mint(world: World, body: Any = None, *fields: str, **options: Any) -> dict[str, Any]:
    status, _, told = post(world, body, *fields, **options)
    assert status == 200, told
    answer: dict[str, Any] = told
    return answer


def fault_of(world: World, body: Any, *fields: str) -> tuple[int, str, str]:
    status, _, told = post(world, body, *fields)
    return status, told["error"]["code"], told["error"]["message"]


def asking(world: World, secret: str, path: str = "/v1/realtime?model=m") -> Peer:
    peer = Peer(world.accept(), client(path))
    peer.ask({"Authorization": f"Bearer {secret}"})
    return peer


def opens(world: World, secret: str, path: str = "/v1/realtime?model=m") -> bool:
    """Whether there is a dial for who sends this; it is left at once."""
    before = len(world.reactor.tcpClients)
    peer = asking(world, secret, path)
    world.advance(2 * EVEN_SECONDS)
    dialled = len(world.reactor.tcpClients) > before
    peer.line.lose()
    return dialled


@pytest.mark.parametrize("path", PATHS)
def test_a_key_mints_a_secret_of_openais_shape(path: str) -> None:
    world = guarded()
    session = {"type": "realtime", "model": "m", "audio": {"output": {"voice": "marin"}}}
    status, headers, told = post(world, {"session": session}, MINE, path=path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert headers["Cache-Control"] == "no-store"
    assert told["value"].startswith("ek_v1.")
    assert told["expires_at"] == NOW + 600
    name = told["session"].pop("id")
    assert name.startswith("sess_")
    assert told == {
        "value": told["value"],
        "expires_at": NOW + 600,
        "session": {**session, "object": "realtime.session"},
    }
    (record,) = world.listener.answers
    assert (record.status, record.subject) == (200, "shop")


@pytest.mark.parametrize("path", TRANSLATIONS)
def test_a_secret_for_a_translation_has_its_shape(path: str) -> None:
    session = {"model": "t", "audio": {"output": {"language": "de"}}}
    told = mint(guarded(), {"session": session}, MINE, path=path)
    told["session"].pop("id")
    assert told["session"] == {"type": "translation", **session}


def test_a_secret_for_a_transcription_has_its_shape() -> None:
    told = mint(guarded(), {"session": {"type": "transcription"}}, MINE)
    assert told["session"]["object"] == "realtime.transcription_session"


def test_azures_header_carries_the_key() -> None:
    assert mint(guarded(), {}, "api-key: mine", path=PATHS[1])["value"]


def test_no_body_asks_for_what_is_usual() -> None:
    told = mint(guarded(), None, MINE)
    assert (told["expires_at"], told["session"]["type"]) == (NOW + 600, "realtime")


@pytest.mark.parametrize("fields", [(), ("Authorization: Bearer other",)])
def test_who_has_no_key_mints_nothing(fields: tuple[str, ...]) -> None:
    status, headers, told = post(guarded(), {}, *fields)
    assert (status, told["error"]["code"]) == (401, "unauthorized")
    assert headers["WWW-Authenticate"].startswith("Bearer")


def test_without_authentication_whoever_reaches_the_relay_mints() -> None:
    world = World()
    assert opens(world, mint(world)["value"])


def test_a_secret_opens_a_session_under_its_makers_name() -> None:
    world = guarded()
    secret = mint(world, {}, MINE)["value"]
    for _ in range(2):
        assert opens(world, secret)
    assert {record.subject for record in world.listener.holds} == {"shop"}
    assert not opens(world, secret + "A")


def test_a_secret_cannot_mint_another() -> None:
    world = guarded()
    secret = mint(world, {}, MINE)["value"]
    status, code, message = fault_of(world, {}, f"Authorization: Bearer {secret}")
    assert (status, code) == (403, "unauthorized")
    assert "cannot mint another" in message


def test_a_secret_is_for_the_time_that_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    world = guarded()
    told = mint(world, {"expires_after": {"anchor": "created_at", "seconds": 10}}, MINE)
    assert told["expires_at"] == NOW + 10
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW + 9.9)
    assert opens(world, told["value"])
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW + 10.0)
    assert not opens(world, told["value"])
    assert "has expired" in str(world.listener.holds[-1].detail)


def test_a_secret_is_for_the_model_that_was_asked() -> None:
    world = guarded()
    secret = mint(world, {"session": {"model": "m"}}, MINE)["value"]
    assert opens(world, secret)
    assert not opens(world, secret, "/v1/realtime?model=other")
    assert world.listener.holds[-1].outcome == "model_not_allowed"
    assert not opens(world, secret, "/v1/realtime")


def test_a_secret_is_for_the_page_that_was_asked() -> None:
    page = "http://localhost:3000"
    world = guarded()
    secret = mint(world, {"origin": page}, MINE)["value"]
    assert not opens(world, secret)
    peer = Peer(world.accept(), client("/v1/realtime?model=m"))
    peer.ask({"Authorization": f"Bearer {secret}", "Origin": page})
    assert len(world.reactor.tcpClients) == 1
    peer.line.lose()


WIDE = Grant(
    "shop",
    expires=NOW + 100,
    end_on_expiry=True,
    models=["m", "n"],
    upstream="openai",
    headers={"openai-safety-identifier": "own", "X-Note": "1"},
    policy=Policy(force={"instructions": "hidden", "speed": 1}),
    limits=GrantLimits(sessions=1),
    credential="sk-of-the-tenant",
)


def test_a_secret_has_all_bounds_of_its_makers_grant() -> None:
    world = guarded(WIDE)
    asked = {
        "session": {"instructions": "mine", "temperature": 1},
        "expires_after": {"seconds": 7200},
    }
    told = mint(world, asked, MINE, "OpenAI-Safety-Identifier: asked")
    assert told["expires_at"] == NOW + 100
    assert "hidden" not in json.dumps(told)
    peer = asking(world, told["value"])
    line = world.connected()
    head = line.take().decode().lower()
    assert "authorization: bearer sk-of-the-tenant\r\n" in head
    assert asking(world, told["value"]).line.take().startswith(b"HTTP/1.1 429 ")
    peer.line.lose()
    assert "openai-safety-identifier: own\r\n" in head
    assert "x-note: 1\r\n" in head
    assert not opens(world, told["value"], "/v1/realtime?model=other")
    assert opens(
        world, mint(world, {"session": {"model": "n"}}, MINE)["value"], "/v1/realtime?model=n"
    )


def test_what_was_minted_for_is_forced_on_its_session() -> None:
    world = guarded()
    session = {"type": "realtime", "model": "m", "audio": {"output": {"voice": "marin"}}}
    secret = mint(world, {"session": session}, MINE)["value"]
    downstream = asking(world, secret)
    upstream = world.answering()
    upstream.send('{"type":"session.created","session":{"type":"realtime"}}')
    world.settle(downstream, upstream)
    (update,) = map(json.loads, upstream.received)
    assert update["type"] == "session.update"
    assert update["session"] == {"type": "realtime", "audio": session["audio"]}
    upstream.send('{"type":"session.updated"}')
    downstream.send('{"type":"session.update","session":{"audio":{"output":{"voice":"ash"}}}}')
    world.settle(downstream, upstream)
    changed = json.loads(upstream.received[-1])
    assert changed["session"]["audio"]["output"]["voice"] == "marin"


# -- the kind of session -------------------------------------------------------------------

OPENED = {
    "realtime": ("/v1/realtime?model=m", "/openai/realtime?deployment=m"),
    "transcription": ("/v1/realtime?intent=transcription",),
    "translation": ("/v1/realtime/translations?model=m",),
    "live": ("/v1/live/sessions",),
    "nothing": (
        "/v1/realtime?call_id=rtc_1",
        "/v1/live/sessions/live_1/attach",
        "/v1/live/sessions/live_1/fork",
    ),
}
DOORS = [door for doors in OPENED.values() for door in doors]
MINTED = {
    "realtime": ({}, PATHS[0]),
    "transcription": ({"session": {"type": "transcription"}}, PATHS[0]),
    "translation": ({}, TRANSLATIONS[0]),
    "live": ({"session": {"type": "live"}}, PATHS[0]),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", MINTED)
def test_a_secret_opens_sessions_of_its_kind_only(kind: str, door: str) -> None:
    world = guarded()
    body, path = MINTED[kind]
    secret = mint(world, body, MINE, path=path)["value"]
    assert opens(world, secret, door) == (door in OPENED[kind])
    if door not in OPENED[kind]:
        refused = asking(world, secret, door)
        refused.read()
        assert refused.status == 403
        assert refused.error["message"].startswith("This ephemeral secret is for /v1/")


def test_a_secret_for_a_transcription_opens_no_conversation_where_upstream_has_no_intents() -> None:
    world = guarded()
    secret = mint(world, {"session": {"type": "transcription"}}, MINE)["value"]
    downstream = asking(world, secret, "/v1/realtime?intent=transcription")
    upstream = world.answering()
    upstream.send('{"type":"session.created","session":{"type":"realtime"}}')
    world.settle(downstream, upstream)
    assert json.loads(upstream.received[0])["session"] == {"type": "transcription"}
    upstream.send('{"type":"error","error":{"code":"invalid_session_type"}}')
    world.settle(downstream, upstream)
    assert downstream.close is not None
    assert downstream.close[0] == 1008


@pytest.mark.parametrize(
    ("session", "field"),
    [
        ({"type": "translation", "instructions": "Hi."}, "instructions"),
        ({"type": "transcription", "audio": {"output": {"voice": "ash"}}}, "audio.output.voice"),
        ({"type": "transcription", "prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"type": "realtime", "audio": {"output": {"language": "de"}}}, "audio.output.language"),
    ],
)
def test_a_field_of_another_kind_is_told_when_minting(session: dict[str, Any], field: str) -> None:
    status, code, message = fault_of(guarded(), {"session": session}, MINE)
    assert (status, code) == (400, "bad_request")
    assert message.startswith(f"Leave session.{field}")


def test_a_field_that_nobody_lists_may_be_the_services_own() -> None:
    session = {"type": "translation", "audio": {"output": {"pitch": 2}}, "mood": "calm"}
    assert mint(guarded(), {"session": session}, MINE)["session"]["mood"] == "calm"


@pytest.mark.parametrize("kind", ["speech", "", 7, ["realtime"], None])
def test_a_type_of_session_that_is_unknown_is_told(kind: object) -> None:
    status, _, message = fault_of(guarded(), {"session": {"type": kind}}, MINE)
    assert (status, message.split()[0]) == (400, "session.type")


@pytest.mark.parametrize("model", ["m", "other"])
def test_the_model_of_a_transcription_is_what_writes_it_down(model: str) -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": model}}}}
    status, _, _ = post(guarded(WIDE), {"session": session}, MINE)
    assert status == (200 if model == "m" else 403)


def test_the_safety_identifier_of_the_backend_goes_upstream_with_its_secret() -> None:
    world = guarded()
    secret = mint(world, {}, MINE, "OpenAI-Safety-Identifier: user-7")["value"]
    peer = Peer(world.accept(), client("/v1/realtime?model=m"))
    peer.ask({"Authorization": f"Bearer {secret}", "OpenAI-Safety-Identifier": "forged"})
    head = world.connected().take().decode()
    assert "Openai-Safety-Identifier: user-7\r\n" in head
    assert "forged" not in head


def test_an_identifier_with_a_tab_is_none() -> None:
    assert mint(guarded(), {}, MINE, "OpenAI-Safety-Identifier: a\tb")["value"]


def test_a_model_that_its_maker_may_not_have_is_refused() -> None:
    status, code, _ = fault_of(guarded(WIDE), {"session": {"model": "other"}}, MINE)
    assert (status, code) == (403, "model_not_allowed")


@pytest.mark.parametrize(
    ("grant", "status"),
    [(Grant("shop", mints=False), 403)],
)
def test_a_grant_that_a_secret_cannot_carry_on_mints_nothing(grant: Grant, status: int) -> None:
    found, _, message = fault_of(guarded(grant), {}, MINE)
    assert found == status
    assert "sk-of" not in message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "JSON object"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b'{"a":1,"A":2}', "JSON object"),
        ({"session": []}, "session"),
        ({"session": {"model": 7}}, "session.model"),
        ({"session": {"model": ""}}, "session.model"),
        ({"expires_after": 7}, "expires_after"),
        ({"expires_after": {"anchor": "now"}}, "expires_after.anchor"),
        ({"expires_after": {"seconds": 9}}, "10 to 7200"),
        ({"expires_after": {"seconds": 7201}}, "10 to 7200"),
        ({"expires_after": {"seconds": 60.5}}, "10 to 7200"),
        ({"expires_after": {"seconds": True}}, "10 to 7200"),
        ({"expires_after": {"seconds": None}}, "10 to 7200"),
        ({"origin": "app"}, "origin"),
        ({"origin": 7}, "origin"),
        ({"session": {"instructions": "".join(map(chr, range(33, 9999)))}}, "fewer session fields"),
    ],
)
def test_a_wrong_body_is_400_and_says_what_is_wrong(body: Any, says: str) -> None:
    status, code, message = fault_of(guarded(), body, MINE)
    assert (status, code) == (400, "bad_request")
    assert says in message


@pytest.mark.parametrize("depth", [60, 100, 985, 5000])
def test_a_session_that_is_nested_deeply_is_answered(depth: int) -> None:
    session = b'{"session":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    assert post(guarded(), session, MINE)[0] in (200, 400)


def test_long_instructions_fit() -> None:
    told = mint(guarded(), {"session": {"instructions": "Be brief, and be kind. " * 400}}, MINE)
    assert len(told["value"]) < LONGEST


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_any_method_but_post_is_405(method: str) -> None:
    status, headers, _ = post(guarded(), None, MINE, method=method)
    assert (status, headers["Allow"]) == (405, "POST")


def test_a_page_of_an_allowed_origin_may_read_its_secret() -> None:
    _, headers, _ = post(World(), {}, "Origin: http://localhost:3000")
    assert headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert post(World(), {}, "Origin: https://evil.test")[0] == 403


def test_secrets_are_minted_below_the_base_path() -> None:
    world = World(Settings(base_path="/voice"))
    assert post(world, {}, path="/voice/v1/realtime/client_secrets")[0] == 200
    assert post(world, {})[0] == 404


def test_relays_that_share_a_signing_key_take_each_others_secrets() -> None:
    keys = [b"k" * 32]
    one, other = (World(options={"admit": keyed("mine"), "signing_keys": keys}) for _ in range(2))
    assert opens(other, mint(one, {}, MINE)["value"])
    assert not opens(guarded(), mint(one, {}, MINE)["value"])


def test_a_failure_of_the_relays_own_is_500_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[object] = []
    monkeypatch.setattr("relay.web.page._log.failure", lambda *a, **k: logged.append(a))
    monkeypatch.setattr("relay.admission.ephemeral.Mint.mint", lambda *_: 1 / 0)
    status, _, told = post(guarded(), {}, MINE)
    assert (status, told["error"]["code"]) == (500, "internal_error")
    assert len(logged) == 1


@given(st.binary(max_size=200) | st.text(st.sampled_from('{}[]":,sesionxpraft_0'), max_size=60))
def test_no_body_raises_anything_else(body: bytes | str) -> None:
    with suppress(Refused):
        order_in(body if isinstance(body, bytes) else body.encode(), "realtime")
