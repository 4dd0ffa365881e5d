"""The keys that clients are given once."""

from __future__ import annotations

import hmac
from typing import Any

import pytest
from attrs import fields
from memory import keyed

from relay import Grant, GrantLimits, Policy, Refusal, Request
from relay.admission import static
from relay.admission.static import require_keys
from relay.config.access import ClientKey, digest_of
from relay.config.auth import KeyLimits
from relay.http.head import Head


def asking(*fields: tuple[str, str]) -> Request:
    return Request("req_1", "192.0.2.1", Head("GET", "/v1/realtime", 1, fields))


def bearing(key: str) -> Request:
    return asking(("authorization", f"Bearer {key}"))


@pytest.mark.parametrize(("key", "subject"), [("token-1", "key-1"), ("token-2", "key-2")])
def test_any_of_the_keys_lets_a_request_in_under_its_own_name(key: str, subject: str) -> None:
    admit = keyed("token-1", "token-2")
    assert admit(bearing(key)) == Grant(subject)
    subprotocol = ("sec-websocket-protocol", f"openai-insecure-api-key.{key}")
    assert admit(asking(subprotocol)) == Grant(subject)


def test_a_key_has_the_bounds_of_its_table() -> None:
    key = ClientKey("shop", digest_of("k"), ("a", "b"), "azure")
    granted = require_keys(lambda: (key,))(bearing("k"))
    assert granted == Grant("shop", models=("a", "b"), upstream="azure")


def test_a_key_has_its_own_limits_and_policy() -> None:
    policy = Policy(events=("response.create",))
    limits = KeyLimits(sessions=2, idle_seconds=7.5)
    key = ClientKey("shop", digest_of("k"), limits=limits, policy=policy)
    granted = require_keys(lambda: (key,))(bearing("k"))
    assert granted == Grant("shop", GrantLimits(sessions=2, idle_seconds=7.5), policy)


def test_whatever_a_grant_can_be_limited_by_a_key_can() -> None:
    assert [a.name for a in fields(KeyLimits)] == [a.name for a in fields(GrantLimits)]


WRONG = ["", "token", "token-11", "TOKEN-1", "token-3", "t\xf6ken", digest_of("token-1").hex()]


def refused(verdict: Any) -> Refusal:
    assert isinstance(verdict, Refusal)
    assert verdict.code == "unauthorized"
    return verdict


def test_no_other_key_lets_a_request_in_and_all_are_told_the_same() -> None:
    admit = keyed("token-1", "token-2")
    told = {refused(admit(bearing(key))).message for key in WRONG}
    told.add(refused(admit(asking())).message)
    assert len(told) == 1


def test_the_operator_is_told_whether_there_was_a_credential() -> None:
    admit = keyed("token-1")
    assert refused(admit(asking())).detail == "there is no credential"
    assert refused(admit(bearing("x"))).detail == "the credential is none of the keys"


def test_a_hash_of_nothing_lets_nobody_in() -> None:
    admit = keyed("")
    refused(admit(asking()))


@pytest.mark.parametrize("key", ["one", "two", "three", "none", ""])
def test_every_key_is_compared_whichever_matches(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, known: bytes) -> bool:
        compared.append(known)
        assert len(given) == len(known) == 32
        return hmac.compare_digest(given, known)

    monkeypatch.setattr(static, "compare_digest", compare)
    keyed("one", "two", "three")(bearing(key))
    assert compared == [digest_of(each) for each in ("one", "two", "three")]


def test_a_revoked_key_is_refused_at_once() -> None:
    keys = [ClientKey("a", digest_of("a"))]
    admit = require_keys(lambda: tuple(keys))
    assert admit(bearing("a")) == Grant("a")
    keys.clear()
    refused(admit(bearing("a")))
