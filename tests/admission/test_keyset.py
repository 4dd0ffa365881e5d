"""An issuer's keys: when they are fetched, how long they are kept, and what is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from relay.admission.asking import Answer, NoAnswer
from relay.admission.keyset import (
    FRESH_SECONDS,
    MOST_KEYS,
    PAUSE_SECONDS,
    STALE_SECONDS,
    KeySet,
    keys_in,
)
from relay.rules.refusals import Refused

RSA = rsa.generate_private_key(65537, 2048).public_key()
EC = ec.generate_private_key(ec.SECP256R1()).public_key()


def jwk(kid: Any, **more: Any) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(RSA, as_dict=True), "kid": kid, **more}


def answer(*keys: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps({"keys": keys}).encode())


class Scene:
    """An issuer, and what was asked of its keys."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[Deferred[Answer]] = []
        self.keys = KeySet("https://x.example/k", ("RS256",), self._fetch, self.clock.seconds)

    def _fetch(self) -> Deferred[Answer]:
        self.asked.append(Deferred())
        return self.asked[-1]

    def find(self, kid: str | None = "a") -> list[Any]:
        told: list[Any] = []
        Deferred.fromCoroutine(self.keys.find(kid)).addBoth(told.append)
        return told

    def know(self, *kids: str) -> None:
        told = self.find(kids[0])
        self.asked[-1].callback(answer(*map(jwk, kids)))
        assert told == [RSA]

    def is_refused(self, told: list[Any]) -> bool:
        (failure,) = told
        error = failure.value
        return isinstance(error, Refused) and error.refusal.code == "authorizer_unavailable"


def test_the_keys_are_fetched_once_for_all_who_ask() -> None:
    scene = Scene()
    waiting = [scene.find() for _ in range(5)]
    assert len(scene.asked) == 1
    scene.asked[0].callback(answer(jwk("a"), jwk("b")))
    assert waiting == [[RSA]] * 5
    assert scene.find("b") == [RSA]
    assert len(scene.asked) == 1


def test_an_unknown_key_id_fetches_them_again_but_not_all_the_time() -> None:
    scene = Scene()
    scene.know("a")
    for _ in range(10):
        assert scene.find("new") == [None]
    assert len(scene.asked) == 1
    scene.clock.advance(PAUSE_SECONDS)
    told = scene.find("new")
    assert told == []
    scene.asked[1].callback(answer(jwk("a"), jwk("new")))
    assert told == [RSA]
    assert scene.find("newer") == [None]
    assert len(scene.asked) == 2


def test_after_a_quiet_night_a_key_that_was_withdrawn_opens_nothing() -> None:
    scene = Scene()
    scene.know("a")
    scene.clock.advance(FRESH_SECONDS)
    assert scene.find("a") == [RSA]
    scene.clock.advance(STALE_SECONDS / 2)
    told = scene.find("a")
    assert told == []
    scene.asked[1].callback(answer(jwk("b")))
    assert told == [None], "the issuer has withdrawn it"


def test_a_new_key_is_not_called_wrong_while_the_issuer_is_down() -> None:
    scene = Scene()
    scene.know("a")
    scene.clock.advance(PAUSE_SECONDS)
    told = scene.find("new")
    scene.asked[-1].errback(NoAnswer("down"))
    assert scene.is_refused(told)
    assert scene.is_refused(scene.find("new")), "tried just now"
    assert scene.find("a") == [RSA]
    scene.clock.advance(PAUSE_SECONDS)
    told = scene.find("new")
    scene.asked[-1].callback(answer(jwk("a")))
    assert told == [None]


def test_keys_stay_in_use_for_a_day_if_the_issuer_does_not_answer() -> None:
    scene = Scene()
    scene.know("a")
    scene.clock.advance(STALE_SECONDS - 1)
    told = scene.find("a")
    scene.asked[-1].errback(NoAnswer("down"))
    assert told == [RSA]
    assert scene.find("a") == [RSA], "tried just now"
    scene.clock.advance(2)
    assert scene.is_refused(scene.find("a")), "tried just now"
    scene.clock.advance(PAUSE_SECONDS)
    told = scene.find("a")
    scene.asked[-1].errback(NoAnswer("down"))
    assert scene.is_refused(told)


def test_without_any_keys_nobody_is_let_in_and_the_issuer_is_not_hammered() -> None:
    scene = Scene()
    told = scene.find()
    scene.asked[0].errback(NoAnswer("down"))
    assert scene.is_refused(told)
    assert scene.is_refused(scene.find())
    assert len(scene.asked) == 1
    scene.clock.advance(PAUSE_SECONDS)
    scene.know("a")


def test_who_leaves_does_not_end_the_fetch() -> None:
    """Else who comes and leaves at once could keep the keys from everybody."""
    scene = Scene()
    first = Deferred.fromCoroutine(scene.keys.find("a"))
    first.addErrback(lambda _: None)
    first.cancel()
    second = scene.find("a")
    scene.asked[0].callback(answer(jwk("a")))
    assert second == [RSA]
    assert len(scene.asked) == 1


def test_a_token_without_a_key_id_gets_the_only_key() -> None:
    scene = Scene()
    scene.know("a")
    assert scene.find(None) == [RSA]
    scene.clock.advance(FRESH_SECONDS + 1)
    told = scene.find("a")
    scene.asked[1].callback(answer(jwk("a"), jwk("b")))
    assert told == [RSA]
    assert scene.find(None) == [None]


@pytest.mark.parametrize(
    "unfit",
    [
        {**ECAlgorithm.to_jwk(EC, as_dict=True), "kid": "x"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        jwk("x", use="enc"),
        jwk("x", key_ops=["encrypt"]),
        jwk("x", key_ops="verify"),
        jwk("x", alg="RSA-OAEP"),
        jwk("x", alg="RS512"),
        jwk("x", alg=["RS256"]),
        jwk(3),
        {"kty": "RSA", "kid": "x"},
        {"kty": "RSA", "kid": "x", "n": 3, "e": "AQAB"},
        {"kid": "x"},
        "x",
        None,
    ],
)
def test_what_is_no_signing_key_of_the_kind_is_left_out(unfit: Any) -> None:
    assert keys_in(answer(unfit, jwk("a")), ("RS256",)) == {"a": RSA}


def test_a_key_for_one_algorithm_is_for_no_other() -> None:
    found = keys_in(answer(jwk("a", alg="RS512"), jwk("b")), ("RS256", "RS512"))
    assert found["a"].algorithm_name == "RS512"
    assert found["b"] == RSA


def test_of_a_private_key_only_the_public_half_is_read() -> None:
    private = dict.fromkeys(("d", "p", "q", "dp", "dq", "qi"), "AQAB")
    assert keys_in(answer(jwk("a", **private)), ("RS256",)) == {"a": RSA}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (answer(jwk("a"), status=404), "answers 404"),
        (answer(jwk("a"), status=302), "answers 302"),
        (Answer(200, b"<html>"), "no JWK set"),
        (Answer(200, b'{"keys":[],"keys":[]}'), "two keys of one object are the same"),
        (Answer(200, b"[]"), "no JWK set"),
        (Answer(200, b'{"keys":3}'), "no JWK set"),
        (Answer(200, b"[" * 100_000), "no JWK set"),
        (Answer(200, b"\xff"), "no JWK set"),
        (answer(), "no key of the kind"),
    ],
)
def test_what_is_no_key_set_is_a_fault(said: Answer, fault: str) -> None:
    with pytest.raises(NoAnswer, match=fault):
        keys_in(said, ("RS256",))


def test_so_many_keys_are_looked_at() -> None:
    found = keys_in(answer(*[jwk(str(n)) for n in range(MOST_KEYS + 5)]), ("RS256",))
    assert len(found) == MOST_KEYS
