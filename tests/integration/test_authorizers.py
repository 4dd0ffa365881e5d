"""An issuer's keys and a callback, by HTTP on real sockets."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_twisted
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from integration.broken_tls import (
    Certified,
    expired,
    good,
    of_another_authority,
    of_another_name,
)
from integration.canary import CANARY, traces_in
from integration.logged import Logged
from integration.loopback import Loopback, Relay, until
from integration.requests import upgrade
from integration.upstreams import (
    CREATED,
    Step,
    UpstreamPort,
    answers,
    ends,
    head,
    resets,
    sends,
    switches,
)
from jwt.algorithms import RSAAlgorithm
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from relay.admission.asking import Answer, NoAnswer, asking
from relay.admission.authorizers import admit_by
from relay.config.access import Access, ClientKey, access_of, digest_of
from relay.config.auth import Auth
from relay.config.authorizers import CallbackTable, JwtTable
from relay.config.issuers import JwtSource

ISSUER = "https://login.example/"


class Service(Resource):
    """Answers as a test says, and notes what it was asked."""

    isLeaf = True

    def __init__(self, answers: Callable[[Request], Any]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def render(self, request: Request) -> Any:
        content: Any = request.content
        body = content.read()
        fields = {
            n.decode().lower(): v[0].decode() for n, v in request.requestHeaders.getAllRawHeaders()
        }
        self.asked.append((body.decode(), fields))
        return self.answers(request)


def serve(loopback: Loopback, answers: Callable[[Request], Any]) -> tuple[Service, str]:
    service = Service(answers)
    site: Any = Site(service)
    return service, f"http://127.0.0.1:{loopback.listen(site)}/"


def slowly(request: Request) -> Any:
    request.notifyFinish().addErrback(lambda _: None)
    return NOT_DONE_YET


def elsewhere(request: Request) -> Any:
    request.redirect(b"http://127.0.0.1:1/")
    return b""


def trickling(request: Request) -> Any:
    request.notifyFinish().addErrback(lambda _: None)
    request.write(b"x")
    return NOT_DONE_YET


async def asked(url: str, most: int = 100) -> Answer:
    return await asking(reactor, None, 0.2, most)("POST", url, {"X-One": "1"}, b"facts")


@pytest_twisted.ensureDeferred
async def test_an_answer_comes_whole_and_no_cookie_is_kept(loopback: Loopback) -> None:
    def answers(request: Request) -> bytes:
        request.addCookie("a", "b")
        return b"x" * 100

    service, url = serve(loopback, answers)
    ask = asking(reactor, None, 5, 100)
    for _ in range(2):
        assert await ask("POST", url, {"X-One": "1"}, b"facts") == Answer(200, b"x" * 100)
    for body, fields in service.asked:
        assert (body, fields["x-one"], "cookie" in fields) == ("facts", "1", False)


@pytest_twisted.ensureDeferred
async def test_a_redirect_is_an_answer_and_not_followed(loopback: Loopback) -> None:
    _, url = serve(loopback, elsewhere)
    assert (await asked(url)).status == 302


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        (lambda _: b"x" * 101, "more than 100 bytes"),
        (slowly, "no answer within"),
        (trickling, "no answer within"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_too_much_or_too_late_is_none(
    loopback: Loopback, answers: Any, fault: str
) -> None:
    _, url = serve(loopback, answers)
    with pytest.raises(NoAnswer, match=fault):
        await asked(url)


BOMB = gzip.compress(b" " * 2**24)

ENDS: dict[str, tuple[tuple[Step, ...], str]] = {
    "no HTTP": ((sends(b"SSH-2.0-x\r\n"), ends), "ParseError"),
    "nothing": ((ends,), "ConnectionDone"),
    "a reset": ((resets,), "ConnectionLost"),
    "half of it": ((sends(head(200, "Content-Length: 9") + b"{"), ends), "its answer broke off"),
    "endless": ((sends(head(200) + b"x" * 101),), "its answer has more than 100 bytes"),
    "a bomb": (
        (answers(200, "Content-Encoding: gzip", body=BOMB),),
        "its answer has more than 100 bytes",
    ),
}


@pytest.mark.parametrize("does", ENDS)
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_not_whole_is_none(loopback: Loopback, does: str) -> None:
    steps, fault = ENDS[does]
    port = UpstreamPort(*steps)
    with pytest.raises(NoAnswer) as caught:
        await asking(reactor, None, 5, 100)(
            "GET", f"http://127.0.0.1:{loopback.listen(port)}", {}, b""
        )
    assert str(caught.value) == fault
    await until(lambda: all(peer.lost for peer in port.peers), "the connection's end")
    (peer,) = port.peers
    for name in (b"accept-encoding", b"cookie", b"authorization"):
        assert name not in peer.received.lower()


@pytest_twisted.ensureDeferred
async def test_what_is_small_is_not_inflated(loopback: Loopback) -> None:
    small = gzip.compress(b" " * 2**16)
    port = UpstreamPort(answers(200, "Content-Encoding: gzip", body=small))
    ask = asking(reactor, None, 5, 100)
    answer = await ask("GET", f"http://127.0.0.1:{loopback.listen(port)}", {}, b"")
    assert answer == Answer(200, small)


@pytest.mark.parametrize("begun", [(), (sends(head(200, "Content-Length: 9") + b"{"),)])
@pytest_twisted.ensureDeferred
async def test_who_asks_no_longer_drops_the_connection(
    loopback: Loopback, begun: tuple[Step, ...]
) -> None:
    port = UpstreamPort(*begun)
    url = f"http://127.0.0.1:{loopback.listen(port)}"
    work = asking(reactor, None, 5, 100)("POST", url, {}, b"facts")
    failed: list[Any] = []
    work.addErrback(lambda failure: failed.append(failure.check(CancelledError)))
    await until(lambda: port.acted and b"facts" in port.peers[0].received, "the question")
    for _ in range(10):  # in which the beginning of the answer is read
        await deferLater(reactor, 0)
    work.cancel()
    assert failed == [CancelledError]
    await until(lambda: port.peers[0].lost, "the connection's end")


NO_TRUST = "certificate verify failed"

CERTIFIED: dict[str, tuple[Callable[[trustme.CA], trustme.LeafCert], bool, str | None]] = {
    "good": (good, True, None),
    "of an authority that is not named": (good, False, NO_TRUST),
    "of another authority": (of_another_authority, True, NO_TRUST),
    "of another name": (of_another_name, True, "VerificationError"),
    "expired": (expired, True, NO_TRUST),
}


@pytest.mark.parametrize("certified", CERTIFIED)
@pytest_twisted.ensureDeferred
async def test_a_service_by_tls_must_be_the_one_that_is_named(
    loopback: Loopback, tmp_path: Path, certified: str
) -> None:
    issue, is_named, fault = CERTIFIED[certified]
    authority, path = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    port = UpstreamPort(answers(200, body=b"{}"))
    url = f"https://127.0.0.1:{loopback.listen(port, Certified(issue(authority)))}/"
    ask = asking(reactor, str(path) if is_named else None, 5, 100)
    if fault is None:
        assert await ask("POST", url, {}, b"facts") == Answer(200, b"{}")
        return
    with pytest.raises(NoAnswer, match=fault):
        await ask("POST", url, {}, b"facts")
    assert all(b"facts" not in peer.received for peer in port.peers)


@pytest_twisted.ensureDeferred
async def test_where_nobody_listens_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="ConnectionRefusedError"):
        await asking(reactor, None, 5, 100)("GET", "http://127.0.0.1:1/", {}, b"")


# -- whole ---------------------------------------------------------------------------------


def relay_for(loopback: Loopback, access: Access) -> tuple[Relay, UpstreamPort]:
    port = UpstreamPort(switches(CREATED))
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    return loopback.relay(url, admit=admit_by(access, reactor)), port


async def answer_to(loopback: Loopback, relay: Relay, credential: str) -> str:
    """The status line, or the code of the refusal."""
    client = await loopback.connect(relay)
    client.send(upgrade(f"Authorization: Bearer {credential}"))
    await until(lambda: b"\r\n\r\n" in client.received, "an answer")
    head, _, body = bytes(client.received).partition(b"\r\n\r\n")
    if b" 101 " in head:
        return "101"
    await client.closed()
    _, _, body = bytes(client.received).partition(b"\r\n\r\n")
    return str(json.loads(body)["error"]["code"])


def token(key: Any, kid: str, **said: Any) -> str:
    claims = {"iss": ISSUER, "aud": "relay", "sub": "ann", "exp": time.time() + 60, **said}
    return jwt.encode(claims, key, "RS256", {"kid": kid})


@pytest_twisted.ensureDeferred
async def test_a_token_lets_in_also_when_its_issuer_changes_keys(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admission.keyset.PAUSE_SECONDS", 0)
    first, second = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    published = [("one", first)]

    def answers(_: Request) -> bytes:
        keys = [
            {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}
            for kid, key in published
        ]
        return json.dumps({"keys": keys}).encode()

    service, url = serve(loopback, answers)
    table = JwtTable(issuer=ISSUER, audience="relay", jwks_url=url)
    relay, _ = relay_for(loopback, Access(jwt=(JwtSource(table, None),)))
    assert await answer_to(loopback, relay, token(first, "one")) == "101"
    assert await answer_to(loopback, relay, token(first, "one")) == "101"
    assert len(service.asked) == 1, "kept"
    assert await answer_to(loopback, relay, token(second, "two")) == "unauthorized"
    published.append(("two", second))
    assert await answer_to(loopback, relay, token(second, "two")) == "101"
    assert await answer_to(loopback, relay, token(second, "one")) == "unauthorized"


@pytest_twisted.ensureDeferred
async def test_two_tables_of_one_issuer_fetch_its_keys_once(loopback: Loopback) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one"}
    service, url = serve(loopback, lambda _: json.dumps({"keys": [public]}).encode())
    tables = [JwtTable(issuer=ISSUER, audience=each, jwks_url=url) for each in ("web", "phone")]
    relay, _ = relay_for(loopback, Access(jwt=tuple(JwtSource(each, None) for each in tables)))
    for audience, status in (("web", "101"), ("phone", "101"), ("other", "unauthorized")):
        assert await answer_to(loopback, relay, token(key, "one", aud=audience)) == status
    assert len(service.asked) == 1


@pytest.mark.parametrize("good", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_token_goes_neither_upstream_nor_into_a_log_however_it_is_sent(
    loopback: Loopback, logged: Logged, good: bool
) -> None:
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    table = JwtTable(issuer=ISSUER, audience="relay", key_file="/key")
    source = JwtSource(table, lambda: key.public_key())
    relay, port = relay_for(loopback, Access(jwt=(source,)))
    sent = token(key if good else other, "any")
    logged.secrets.update(sent.split(".")[1:])
    for place in (
        f"Authorization: Bearer {sent}",
        f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{sent}",
        f"api-key: {sent}",
    ):
        client = await loopback.connect(relay)
        client.send(upgrade(place))
        await loopback.answered(client)
        client.leave()
        assert int(client.received.split()[1]) == (101 if good else 401)
        assert not traces_in(client.received, *sent.split(".")[1:])
    for peer in port.peers:
        assert not traces_in(peer.received.replace(CANARY.encode(), b""), *sent.split(".")[1:])
    for record in relay.heard.holds:
        assert not traces_in(repr(record).encode(), *sent.split(".")[1:])
        assert record.subject == ("ann" if good else None)


@pytest_twisted.ensureDeferred
async def test_without_the_issuers_keys_the_answer_is_503(
    loopback: Loopback, logged: Logged
) -> None:
    logged.expected.add("[[auth.jwt]] jwks_url")
    table = JwtTable(issuer=ISSUER, audience="relay", jwks_url="http://127.0.0.1:1/")
    relay, port = relay_for(loopback, Access(jwt=(JwtSource(table, None),)))
    key = rsa.generate_private_key(65537, 2048)
    assert await answer_to(loopback, relay, token(key, "one")) == "authorizer_unavailable"
    assert await answer_to(loopback, relay, "nonsense") == "unauthorized"
    assert not port.peers


@pytest_twisted.ensureDeferred
async def test_a_callback_lets_in_and_refuses(
    loopback: Loopback, logged: Logged, tmp_path: Path
) -> None:
    logged.expected.add("[auth.callback] answers no JSON")
    logged.secrets.add("bearer-of-the-relay")

    def answers(request: Request) -> bytes:
        facts = json.loads(service.asked[-1][0])
        if facts["credential"] == "good":
            return json.dumps({"grant": {"subject": "ann"}, "cache_seconds": 60}).encode()
        if facts["credential"] == "broken":
            return b"<html>"
        return json.dumps({"refusal": {"code": "model_not_allowed"}}).encode()

    service, url = serve(loopback, answers)
    path = tmp_path / "token"
    path.write_text("bearer-of-the-relay\n")
    auth = Auth(callback=CallbackTable(url=url, token_file=str(path)))
    faults: list[str] = []
    relay, _ = relay_for(loopback, access_of(auth, {}, faults))
    assert not faults
    assert await answer_to(loopback, relay, "good") == "101"
    assert await answer_to(loopback, relay, "good") == "101"
    assert await answer_to(loopback, relay, "bad") == "model_not_allowed"
    assert await answer_to(loopback, relay, "broken") == "authorizer_unavailable"
    assert len(service.asked) == 3
    assert service.asked[0][1]["authorization"] == "Bearer bearer-of-the-relay"


@pytest_twisted.ensureDeferred
async def test_wrong_ones_of_all_kinds_look_alike_and_each_kind_sees_its_own_only(
    loopback: Loopback,
) -> None:
    key, other = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    public = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "one"}
    issuer, keys_url = serve(loopback, lambda _: json.dumps({"keys": [public]}).encode())
    service, url = serve(loopback, lambda _: b'{"refusal":{"detail":"unknown"}}')
    known = (ClientKey("shop", digest_of("rk_one")),)
    table = JwtTable(issuer=ISSUER, audience="relay", jwks_url=keys_url)
    sources = (JwtSource(table, None),)
    access = Access(lambda: known, jwt=sources, callback=CallbackTable(url=url))
    relay, port = relay_for(loopback, access)
    good, unsigned = token(key, "one"), token(key, "one").rpartition(".")[0] + "."
    wrong = [token(other, "one"), token(key, "one", exp=1), unsigned, "ek_v1.x", "rk_two", "ek_x"]
    heard: list[bytes] = []
    for credential in ["rk_one", good, *wrong]:
        client = await loopback.connect(relay)
        client.send(upgrade(f"Authorization: Bearer {credential}"))
        await loopback.answered(client)
        if len(heard) >= 2:
            await client.closed()
        heard.append(client.received)
    assert [int(each.split()[1]) for each in heard] == [101, 101, *[401] * len(wrong)]
    assert len({re.sub(rb"req_[0-9a-f]+", b"", each) for each in heard[2:]}) == 1
    # A token of the issuer's is never the callback's matter, nor a secret of the relay's form.
    shown = [json.loads(body)["credential"] for body, _ in service.asked]
    assert (shown, len(issuer.asked)) == (["rk_two", "ek_x"], 1)
    assert all(good.encode() not in peer.received for peer in port.peers)


@pytest_twisted.ensureDeferred
async def test_a_client_that_leaves_ends_its_question(loopback: Loopback) -> None:
    gone: list[object] = []

    def answers(request: Request) -> Any:
        request.notifyFinish().addErrback(gone.append)
        return NOT_DONE_YET

    service, url = serve(loopback, answers)
    relay, _ = relay_for(loopback, Access(callback=CallbackTable(url=url)))
    client = await loopback.connect(relay)
    client.send(upgrade("Authorization: Bearer k"))
    await until(lambda: service.asked, "the question")
    client.leave()
    await until(lambda: gone, "its end")
