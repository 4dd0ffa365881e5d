"""Secrets of every kind, each where it belongs, and every output of the relay: none shows."""

from __future__ import annotations

import base64
import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote

import jwt
import pytest
import pytest_twisted
from attrs import evolve, field, frozen
from integration.canary import CANARY, traces_in
from integration.logged import Logged
from integration.loopback import Loopback, RawClient, Relay, until
from integration.requests import request, upgrade
from integration.test_authorizers import serve
from integration.upstreams import (
    CREATED,
    Step,
    UpstreamPeer,
    UpstreamPort,
    answers,
    closes,
    error,
    switches,
)
from twisted.internet import reactor
from twisted.python.failure import Failure

from relay import Grant, Metrics
from relay.admission import asking
from relay.admission.authorizers import admit_by
from relay.admission.ephemeral import Minted
from relay.config.access import Access, ClientKey, access_of, digest_of
from relay.config.auth import Auth
from relay.config.authorizers import CallbackTable, JwtTable
from relay.http import answer
from relay.web.client_secrets import order_in

ISSUER = "https://login.example/"
PLACES = (
    "Authorization: Bearer {}",
    "Sec-WebSocket-Protocol: relay.refusals.event, openai-insecure-api-key.{}",
    "api-key: {}",
    "X-Forwarded-For: {}",
    "Cookie: k={}",
)
ADMIN = (
    *(f"GET {page}" for page in ("/", "/healthz", "/readyz", "/metrics", "/sessions", "/nothing")),
    "DELETE /sessions/sess_1",
    "POST /nothing",
)


def made(name: str) -> str:
    """A secret in which the first characters tell which it is."""
    return f"{name:_<16}{token_urlsafe(32)}"


@frozen
class Secrets:
    """
    Each of another kind.

    @ivar of_tenant: the upstream key that the callback gives to one client of its own.
    @ivar of_relay: what the callback knows the relay by.
    @ivar for_callback: what that client sends.
    """

    static: str = field(factory=lambda: made("static"))
    signing: str = field(factory=lambda: made("signing"))
    shared: str = field(factory=lambda: made("shared"))
    of_tenant: str = field(factory=lambda: made("tenant"))
    of_relay: str = field(factory=lambda: made("relay"))
    for_callback: str = field(factory=lambda: made("callback"))

    def token(self) -> str:
        """A JWT that the shared secret signs."""
        claims = {"iss": ISSUER, "aud": "relay", "sub": "ann", "exp": time.time() + 60}
        return jwt.encode(claims, self.shared, "HS256")

    def forms(self) -> Iterator[str]:
        """What must show nowhere, in each form in which it might."""
        plain = (self.static, self.signing, self.shared, self.of_tenant, self.of_relay)
        for secret in (*plain, self.for_callback):
            yield secret
            yield quote(secret, safe="")
            yield base64.b64encode(secret.encode()).decode()
            yield base64.urlsafe_b64encode(secret.encode()).decode()


@frozen
class Tour:
    """
    A relay that has all of them.

    @ivar heard: what each client was told, by what it did.
    @ivar seen: what the relay's own objects print of themselves during a hold.
    """

    loopback: Loopback
    relay: Relay
    secrets: Secrets
    admin: int
    seen: set[str]
    heard: dict[str, RawClient] = field(factory=dict)

    async def sent(self, data: bytes, what: str, port: int | None = None) -> RawClient:
        """Send it, and wait for the answer; the connection stays, if the relay lets it."""
        target: Any = self.relay if port is None else _Port(port)
        client = await self.loopback.connect(target)
        client.send(data)
        await self.loopback.answered(client)
        if b" 101 " not in client.received:
            await client.closed()
        self.heard[f"{what} {len(self.heard)}"] = client
        return client

    async def minted(self) -> str:
        """An ephemeral secret. Its own answer is the one place where it belongs."""
        told = {"session": {"instructions": self.secrets.shared}}
        body = json.dumps(told).encode()
        fields = [f"Authorization: Bearer {self.secrets.static}", f"Content-Length: {len(body)}"]
        line = "POST /v1/realtime/client_secrets HTTP/1.1"
        client = await self.loopback.connect(self.relay)
        client.send(request(line, "Host: 127.0.0.1", *fields) + body)
        answer = await client.closed()
        return str(json.loads(answer.partition(b"\r\n\r\n")[2])["value"])

    async def asked(self) -> None:
        """All pages of the admin listener, also by one that sends a key there."""
        key = self.secrets.static
        for line in ADMIN:
            for more in ((), (f"Authorization: Bearer {key}",)):
                head = request(f"{line} HTTP/1.1", "Host: 127.0.0.1", *more)
                await self.sent(head, line, self.admin)
            head = request(f"{line}?key={key} HTTP/1.1", "Host: 127.0.0.1")
            await self.sent(head, line, self.admin)
        await self.watched()

    async def watched(self) -> None:
        """What the dashboard shows."""
        port: Any = _Port(self.admin)
        watcher = await self.loopback.connect(port)
        watcher.send(request("GET /events HTTP/1.1", "Host: 127.0.0.1"))
        await until(lambda: b"data: " in watcher.received, "an event")
        self.heard[f"events {len(self.heard)}"] = watcher
        watcher.die()

    def check(self, secrets: tuple[str, ...]) -> None:
        """Nothing of any secret is in anything that came out, or could be printed."""
        for name, client in self.heard.items():
            assert not traces_in(client.received, *secrets), (name, client.received)
        for text in self.seen | printed():
            assert not traces_in(text.encode("utf-8", "replace"), *secrets), text


@frozen
class _Port:
    port: int


def printed() -> set[str]:
    """What all objects of the relay's own classes print of themselves, whatever they are for."""
    everything = gc.get_objects()
    own = [each for each in everything if str(type(each).__module__).startswith("relay.")]
    return {repr(each) + str(each) for each in own}


def quoting(peer: UpstreamPeer) -> None:
    """An upstream that quotes the key it was sent, in its refusal."""
    key = peer.header("authorization")
    answers(401, f"X-Request-Id: {key[:40]}", body=error("invalid_api_key", f"Wrong: {key}"))(peer)


def closing(peer: UpstreamPeer) -> None:
    """An upstream that quotes the key it was sent, at the end of the session."""
    switches(CREATED, closes(4000, f"Wrong: {peer.header('authorization')}"))(peer)


def refusals(*quoted: str) -> list[object]:
    """All ways in which a callback can quote what it was sent."""
    words = " ".join(quoted)
    said = {"code": "unauthorized", "message": words, "detail": words}
    odd = [{name: {each: 1}} for name in ("refusal", "grant") for each in quoted]
    return [{"refusal": said}, words, *odd]


@pytest.fixture(autouse=True)
def _only_these_objects() -> Iterator[None]:
    """Those of other tests are not looked at: they have secrets of their own, and are many."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def secrets(logged: Logged) -> Secrets:
    secrets = Secrets()
    logged.secrets.update(secrets.forms())
    return secrets


def tour(loopback: Loopback, secrets: Secrets, folder: Path, *steps: Step) -> tuple[Tour, Any]:
    """The relay, its upstream, and all else that it asks."""
    seen: set[str] = set()

    def grants(asked: Any) -> bytes:
        told, fields = service.asked[-1]
        credential = json.loads(told)["credential"]
        ways = refusals(credential, fields["authorization"])
        said = ways[len(service.asked) % len(ways)]
        if credential == secrets.for_callback:
            said = {"grant": {"subject": "own", "credential": secrets.of_tenant}}
        return json.dumps(said).encode()

    def looks(peer: UpstreamPeer) -> None:
        seen.update(printed())

    service, url = serve(loopback, grants)
    access = access_to(url, secrets, folder)
    port = UpstreamPort(looks, *steps)
    upstream = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(upstream, admit=admit_by(access, reactor), signing_keys=access.signing)
    admin = relay.admin(Metrics())
    admin.set_public(False)
    return Tour(loopback, relay, secrets, loopback.listen(admin), seen), (port, service)


def access_to(url: str, secrets: Secrets, folder: Path) -> Access:
    """Who may come in: by a key, a secret, a token, or a callback."""
    for name in ("of_relay", "shared", "signing"):
        (folder / name).write_text(getattr(secrets, name))
    shared = str(folder / "shared")
    tokens = JwtTable(issuer=ISSUER, audience="relay", algorithms=("HS256",), key_file=shared)
    callback = CallbackTable(url=url, token_file=str(folder / "of_relay"))
    auth = Auth(jwt=(tokens,), callback=callback, signing_keys=(str(folder / "signing"),))
    faults: list[str] = []
    found = access_of(auth, {}, faults)
    assert not faults
    known = (ClientKey("shop", digest_of(secrets.static)),)
    return evolve(found, client_keys=lambda: known)


DOES: dict[str, Step] = {
    "opens": switches(CREATED),
    "quotes the key": quoting,
    "quotes the key at the end": closing,
}


@pytest.mark.parametrize("does", DOES)
@pytest_twisted.ensureDeferred
async def test_no_secret_shows_in_anything_that_the_relay_says(
    loopback: Loopback, logged: Logged, secrets: Secrets, tmp_path: Path, does: str
) -> None:
    logged.expected.add("[auth.callback] ")
    made, (port, service) = tour(loopback, secrets, tmp_path, DOES[does])
    ephemeral, token = await made.minted(), secrets.token()
    every = (*secrets.forms(), ephemeral, token.rpartition(".")[2])
    logged.secrets.update(every)
    # First the one with a key of its own: the relay's key, once refused, opens the breaker.
    credentials = (secrets.for_callback, secrets.static, ephemeral, token)
    for credential in credentials:
        line = f"GET /v1/realtime?model=m&key={credential} HTTP/1.1"
        for place in PLACES[:2]:
            await made.sent(upgrade(place.format(credential), line=line), "good")
    for credential in credentials:
        wrong = credential[:-6] + "wrong."
        for place in PLACES:
            await made.sent(upgrade(place.format(wrong)), "wrong")
        await made.sent(upgrade(line=f"GET /v1/realtime?model=m&key={wrong} HTTP/1.1"), "wrong")
    for place in PLACES[:2]:
        for _ in range(6):
            await made.sent(upgrade(place.format(secrets.for_callback + "_wrong")), "quoted")
    await made.asked()
    made.check(every)
    made.relay.handles.revoke("shop")
    await made.asked()
    made.check(every)
    made.relay.drain()
    await made.asked()
    await made.sent(upgrade(PLACES[0].format(secrets.static)), "drained")
    made.relay.abort()
    made.check(every)
    keys = {CANARY, secrets.of_tenant}
    assert {peer.header("authorization").removeprefix("Bearer ") for peer in port.peers} == keys
    assert all(secrets.of_relay in fields["authorization"] for _, fields in service.asked)


def test_no_fault_and_no_object_shows_the_secret_that_is_in_it(
    secrets: Secrets, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text(f"{secrets.signing}\n{secrets.shared}\n")
    table = CallbackTable(url="https://login.example/", token_file=str(path))
    faults: list[str] = []
    access_of(Auth(callback=table, signing_keys=(str(path),)), {}, faults)
    assert len(faults) == 2
    grant = Grant("ann", credential=secrets.of_tenant, headers={"X-Key": secrets.static})
    body = json.dumps({"session": {"instructions": secrets.static}}).encode()
    holders = (
        grant,
        Minted(grant, "realtime", None, "1"),
        order_in(body, "realtime"),
        asking.Answer(200, body),
        answer.Answer(401, {"x-request-id": secrets.static}, body),
    )
    text = "\n".join([*faults, *map(repr, holders)])
    try:
        raise ValueError(access_of(Auth(), {}, []))
    except ValueError:
        text += Failure().getTraceback(detail="verbose")
    assert not traces_in(text.encode(), *secrets.forms())
