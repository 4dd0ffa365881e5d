"""Which endpoint a client gets by which path, with which credential, and what it is told else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from memory import World, keyed

from relay import Settings, Upstream
from relay.config.plan import Flags, Plan, plan
from relay.testing.peers import Peer

GOOGLE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
CREATED = '{"type":"session.created"}'
URL = "ws://127.0.0.1:9000/v1"


def refusal_of(downstream: Peer) -> dict[str, Any]:
    head, _, body = downstream.line.take().partition(b"\r\n\r\n")
    error: dict[str, Any] = json.loads(body)["error"]
    return {**error, "status": int(head.split()[1])}


def asked_of(world: World) -> str:
    """The first line of the request that went upstream."""
    return world.connected().take().decode().split("\r\n")[0]


def test_an_upstream_that_waits_for_its_client_opens_with_its_101() -> None:
    world = World()
    downstream = world.downstream("/v1/live/sessions")
    upstream = world.answering()
    downstream.read()
    downstream.send('{"type":"session.start"}')
    upstream.read()
    assert upstream.received == ['{"type":"session.start"}']
    asked: Any = upstream.request
    assert asked.path == "/v1/live/sessions"


def test_a_translation_waits_for_the_first_event() -> None:
    world = World()
    downstream = world.downstream("/v1/realtime/translations?model=m")
    upstream = world.answering()
    assert downstream.line.sent == b""
    upstream.send(CREATED)
    assert downstream.line.sent.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/openai/v1/realtime?model=m", {"api-key": "s3cret"}),
        ("/openai/v1/realtime?model=m", {"Authorization": "Bearer s3cret"}),
        ("/openai/v1/realtime?model=m&api-key=ek_s3cret", {}),
        ("/openai/v1/realtime/translations?model=m", {"api-key": "s3cret"}),
        ("/openai/realtime?api-version=1&deployment=m", {"api-key": "s3cret"}),
        ("/v1/realtime?model=m", {"api-key": "s3cret"}),
        ("/v1/realtime?model=m", {"Sec-WebSocket-Protocol": "realtime, xai-client-secret.s3cret"}),
    ],
)
def test_a_providers_own_sdk_is_let_in_by_its_own_credential(
    path: str, headers: dict[str, str]
) -> None:
    world = World(options={"admit": keyed("s3cret", "ek_s3cret")})
    Peer(world.accept(), None).line.deliver(_request(path, headers))
    sent = world.connected().take().decode()
    assert "model=m" in sent
    assert "s3cret" not in sent


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (GOOGLE, {"x-goog-api-key": "s3cret"}),
        ("/" + GOOGLE, {"x-goog-api-key": "s3cret"}),
        (GOOGLE + "?key=ek_s3cret", {}),
        (GOOGLE.replace("v1beta", "v1alpha") + "Constrained?access_token=ek_s3cret", {}),
    ],
)
def test_googles_sdk_is_let_in_by_its_own_credential(path: str, headers: dict[str, str]) -> None:
    gemini = Upstream("ws://127.0.0.1:9000", provider="gemini")
    world = World(upstream=gemini, options={"admit": keyed("s3cret", "ek_s3cret")})
    Peer(world.accept(), None).line.deliver(_request(path, headers))
    place = path.removeprefix("/").split("?")[0].removeprefix("/")
    assert asked_of(world) == f"GET /{place} HTTP/1.1"


def test_another_providers_credential_is_none() -> None:
    world = World(options={"admit": keyed("s3cret", "ek_s3cret")})
    downstream = Peer(world.accept(), None)
    downstream.line.deliver(_request("/v1/realtime?model=m&key=1", {"x-goog-api-key": "s3cret"}))
    assert refusal_of(downstream)["code"] == "unauthorized"


@pytest.mark.parametrize(
    "path", ["/openai/v1/realtime?model=m&api-key=s3cret", "/v1/realtime?model=m&api-key=ek_s3cret"]
)
def test_a_key_in_a_query_is_none(path: str) -> None:
    """URLs end up in logs. Only an ephemeral secret counts, and by Azure's and Google's paths."""
    world = World(options={"admit": keyed("s3cret", "ek_s3cret")})
    downstream = Peer(world.accept(), None)
    downstream.line.deliver(_request(path, {}))
    assert refusal_of(downstream)["code"] == "unauthorized"


def _request(path: str, headers: dict[str, str]) -> bytes:
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_model_by_another_name_is_the_records_model() -> None:
    world = World()
    world.downstream("/openai/realtime?deployment=mine")
    world.answering().send(CREATED)
    (record,) = world.listener.holds
    assert record.model == "mine"


@pytest.mark.parametrize("path", ["/v1/live/sessions", "/v1/realtime/x", "/", "/realtime"])
def test_what_no_upstream_serves_is_not_found_and_the_client_is_told_what_is(path: str) -> None:
    settings = Settings(base_path="/voice")
    world = World(upstream=Upstream(URL, provider="xai"), settings=settings)
    refusal = refusal_of(world.downstream("/voice" + path))
    assert (refusal["status"], refusal["code"]) == (404, "not_found")
    assert refusal["message"] == (
        f"Nothing is served at /voice{path}. WebSockets are served here:"
        " realtime at /voice/v1/realtime."
    )
    (record,) = world.listener.holds
    assert record.path == f"/voice{path}"


def test_an_upstream_that_has_the_endpoint_is_chosen() -> None:
    xai = Upstream("ws://127.0.0.1:9001/v1", "xai", "xai")
    world = World(upstreams=[xai, Upstream(URL, priority=1)])
    world.downstream("/v1/live/sessions")
    assert [port for _, port, *_ in world.reactor.tcpClients] == [9000]


BETA = {"OpenAI-Beta": "realtime=v1"}


@pytest.mark.parametrize(
    "asks", [BETA, {"Sec-WebSocket-Protocol": "realtime, openai-beta.realtime-v1"}]
)
def test_a_client_of_the_retired_beta_is_told_so(asks: dict[str, str]) -> None:
    world = World()
    downstream = Peer(world.accept(), None)
    downstream.line.deliver(_request("/v1/realtime?model=m", asks))
    refusal = refusal_of(downstream)
    assert (refusal["status"], refusal["code"]) == (400, "bad_request")
    assert "leave out the OpenAI-Beta header" in refusal["message"]
    assert [hold.detail for hold in world.listener.holds] == [refusal["message"]]
    assert not world.reactor.tcpClients


@pytest.mark.parametrize(
    "upstream",
    [
        Upstream("ws://127.0.0.1:9000", provider="azure-preview"),
        Upstream(URL, headers=("OpenAI-Beta",)),
    ],
)
def test_where_the_beta_is_spoken_its_header_goes_upstream(upstream: Upstream) -> None:
    world = World(upstream=upstream)
    Peer(world.accept(), None).line.deliver(_request("/v1/realtime?model=m", BETA))
    assert "\r\nopenai-beta: realtime=v1\r\n" in world.connected().take().decode().lower()


def test_a_client_of_the_beta_gets_the_upstream_that_speaks_it() -> None:
    preview = Upstream("ws://127.0.0.1:9001", "preview", "azure-preview", priority=1)
    world = World(upstreams=[Upstream(URL), preview])
    Peer(world.accept(), None).line.deliver(_request("/v1/realtime?model=m", BETA))
    assert [port for _, port, *_ in world.reactor.tcpClients] == [9001]


NEW_PROVIDER = """
[[upstream]]
provider = "generic"
name = "acme"
url = "ws://127.0.0.1:9000/speech/v9/talk?tenant=t1"
first_event = true
query = ["language"]
headers = ["X-Acme-Trace"]
subprotocols = ["acme.v9"]
models = { "gpt-realtime" = "acme-large" }
"""


def test_a_provider_that_the_table_does_not_know_needs_settings_alone(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(NEW_PROVIDER)
    planned = plan(str(file), Flags(), {})
    assert isinstance(planned, Plan), planned
    world = World(upstreams=[*planned.upstreams])
    headers = {"X-Acme-Trace": "7", "Sec-WebSocket-Protocol": "acme.v9, realtime"}
    downstream = Peer(world.accept(), None)
    downstream.line.deliver(_request("/v1/realtime?model=gpt-realtime&language=de", headers))
    upstream = world.answering()
    asked: Any = upstream.request
    assert asked.path == "/speech/v9/talk?tenant=t1&model=acme-large&language=de"
    assert asked.headers["X-Acme-Trace"] == "7"
    assert asked.headers["Sec-WebSocket-Protocol"] == "acme.v9,realtime"
    assert downstream.line.sent == b"", "it is said to speak first"
    upstream.send('{"type":"error","error":{"code":"invalid_api_key","message":"no"}}')
    upstream.send_close(3000)
    assert refusal_of(downstream)["code"] == "upstream_unauthorized"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/realtime?model=a&model=b", "model"),
        ("/v1/realtime?model=a&model=a", "model"),
        ("/openai/realtime?deployment=a&model=b", "model"),
        ("/openai/realtime?model=b&deployment=a", "model"),
        ("/v1/realtime?intent=transcription&intent=", "intent"),
        ("/v1/realtime?call_id=a&call_id=b", "call_id"),
        ("/v1/realtime/translations?model=a&model=b", "model"),
    ],
)
def test_what_a_query_says_twice_is_told(path: str, name: str) -> None:
    world = World()
    downstream = world.downstream(path)
    downstream.read()
    assert downstream.status == 400
    assert downstream.error["message"] == f"Ask for one {name}."
    assert world.reactor.tcpClients == []
