"""What C{realtime-relay check} says of an issuer and a callback."""

from __future__ import annotations

import json

import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import rsa
from integration.loopback import REACTOR, Loopback
from integration.test_authorizers import ISSUER, serve
from jwt.algorithms import RSAAlgorithm
from twisted.web.server import Request

from relay.commands.services import ask_services
from relay.config.access import Access
from relay.config.authorizers import CallbackTable, JwtTable
from relay.config.issuers import JwtSource


def issued_by(url: str) -> JwtSource:
    return JwtSource(JwtTable(issuer=ISSUER, audience="relay", jwks_url=url), None)


@pytest_twisted.ensureDeferred
async def test_services_that_answer_are_told_with_what_they_have(loopback: Loopback) -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    keys = {"keys": [{**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "one"}]}
    _, jwks = serve(loopback, lambda _: json.dumps(keys).encode())

    def answers(request: Request) -> bytes:
        request.setResponseCode(405)
        return b""

    service, url = serve(loopback, answers)
    access = Access(jwt=(issued_by(jwks),), callback=CallbackTable(url=url), bearer=lambda: "t")
    issuer, callback = await ask_services(access, REACTOR)
    assert (issuer.fault, issuer.said) == (None, "It has 1 key to use.")
    assert (callback.fault, callback.said) == (None, "It answers HTTP (HEAD: 405).")
    ((body, fields),) = service.asked
    assert (body, "authorization" in fields) == ("", False), "nobody's, and no token"
    assert callback.as_line() == f"[auth.callback]: {url}\n  It answers HTTP (HEAD: 405)."


@pytest_twisted.ensureDeferred
async def test_services_that_cannot_be_used_are_told_with_why(loopback: Loopback) -> None:
    _, empty = serve(loopback, lambda _: b'{"keys":[]}')
    nobody = "http://127.0.0.1:1/"
    access = Access(
        jwt=(
            issued_by(empty),
            issued_by(nobody),
            JwtSource(issued_by(empty).table, lambda: "its key is in a file"),
        ),
        callback=CallbackTable(url=nobody),
    )
    first, second, callback = await ask_services(access, REACTOR)
    assert first.fault is not None
    assert "no key of the kind of algorithms" in first.fault
    assert second.as_json() == {
        "service": "[[auth.jwt]] #2",
        "url": nobody,
        "ok": False,
        "said": "",
        "fault": "The keys cannot be had: ConnectionRefusedError.",
    }
    assert callback.fault == "It cannot be asked: ConnectionRefusedError."
