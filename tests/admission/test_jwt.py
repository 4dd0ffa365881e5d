"""JWTs: which are believed, and what their claims come to."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from twisted.internet.defer import Deferred

from relay import Grant, GrantLimits, InvalidValue, Policy, Refusal, Request
from relay.admission.jwt import issuer_in, require_jwt
from relay.config.authorizers import FAMILIES, JwtTable
from relay.http.head import Head

ISSUER, AUDIENCE = "https://login.example/", "realtime"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
SECRET = b"s" * 64

PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def table(**said: Any) -> JwtTable:
    return JwtTable(
        **{"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://login.example/keys", **said}
    )


def claims(**said: Any) -> dict[str, Any]:
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**usual, **said}.items() if value is not None}


def signed(key: Any = RSA, algorithm: str = "RS256", head: Any = None, **said: Any) -> str:
    """Not by C{jwt.encode}, which refuses to make some of these."""
    body = json.dumps(claims(**said)).encode()
    return jwt.PyJWS().encode(body, key, algorithm, {"kid": "k1", **(head or {})})


GOOD = signed(exp=2**40)


def signed_below(head: bytes) -> str:
    """A good signature below any head."""
    body = json.dumps(claims()).encode()
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (head, body))
    signature = jwt.get_algorithm_by_name("RS256").sign(text.encode(), RSA)
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_a_good_signature_below_a_plain_head_is_good() -> None:
    assert isinstance(verdict(signed_below(b'{"alg":"RS256","kid":"k1"}')), Grant)


def verdict(
    token: str, settings: JwtTable | None = None, key: Any = None, find: Any = None
) -> Grant | Refusal:
    known = {"k1": RSA.public_key(), "ec": EC.public_key(), "ed": ED.public_key()}

    async def known_key(kid: str | None) -> Any:
        return key if key is not None else known.get(kid or "")

    head = Head("GET", "/v1/realtime", 1, (("authorization", f"Bearer {token}"),))
    admit: Any = require_jwt(settings or table(), find or known_key)
    told: list[Any] = []
    Deferred.fromCoroutine(admit(Request("req_1", "192.0.2.1", head))).addBoth(told.append)
    found: Grant | Refusal = told[0]
    return found


def wrong(found: Grant | Refusal) -> str:
    assert isinstance(found, Refusal)
    assert (found.code, found.status) == ("unauthorized", 401)
    return found.detail


def test_a_good_token_is_a_grant_of_its_subject() -> None:
    found = verdict(signed())
    assert isinstance(found, Grant)
    assert found.subject == "ann"
    assert found.expires == pytest.approx(time.time() + 90, abs=2), "with the leeway"
    assert not found.end_on_expiry
    assert found.models is None


def test_claims_are_mapped_by_the_settings() -> None:
    settings = table(
        subject_claim="org",
        models_claim="models",
        limits_claim="limits",
        policy_claim="policy",
        upstream_claim="tenant",
        safety_claim="sub",
        end_on_expiry=True,
    )
    said: dict[str, Any] = {
        "models": ["m"],
        "limits": {"sessions": 2},
        "policy": {"lock": ["voice"]},
    }
    found = verdict(signed(org="shop", tenant="azure", **said), settings)
    assert isinstance(found, Grant)
    assert (found.subject, found.models, found.end_on_expiry) == ("shop", ("m",), True)
    assert found.limits == GrantLimits(sessions=2)
    assert (found.policy, found.upstream) == (Policy(lock=("voice",)), "azure")
    assert found.headers == {"OpenAI-Safety-Identifier": "ann"}


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"models": None}, "has no list models"),
        ({"models": "m"}, "has no list models"),
        ({"models": [3]}, "models of a grant"),
        ({"models": ["m"], "sub": None}, "has no sub"),
        ({"models": ["m"], "sub": 3}, "ubject must be a string"),
        ({"models": ["m"], "sub": "a\n"}, "subject of a grant"),
        ({"models": ["m"], "limits": {"sessions": "x"}}, "sessions of GrantLimits"),
        ({"models": ["m"], "limits": {"x": 1}}, "unknown field"),
        ({"models": ["m"], "limits": 3}, "limits must be a table"),
        ({"models": ["m"], "policy": None}, "has no policy"),
        ({"models": ["m"], "policy": {"model": "x"}}, "policy has an unknown field 'model'"),
        ({"models": ["m"], "tenant": None}, "has no tenant"),
        ({"models": ["m"], "tenant": 3}, "upstream of a grant"),
    ],
)
def test_a_token_whose_claims_do_not_fit_is_refused(said: Any, detail: str) -> None:
    settings = table(
        models_claim="models",
        limits_claim="limits",
        policy_claim="policy",
        upstream_claim="tenant",
    )
    usual = {"policy": {}, "tenant": "azure"}
    assert detail in wrong(verdict(signed(**{**usual, **said}), settings))


NOW = int(time.time())


@pytest.mark.parametrize(
    "said",
    [
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": [1]},
        {"nbf": NOW + 3600},
        {"iat": NOW + 3600},
        {"iss": "https://other.example/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "other"},
        {"aud": None},
        {"aud": 3},
    ],
)
def test_a_token_of_another_time_place_or_purpose_is_refused(said: Any) -> None:
    wrong(verdict(signed(**said)))


def test_clocks_may_differ_by_the_leeway() -> None:
    now = int(time.time())
    assert isinstance(verdict(signed(exp=now - 10, nbf=now + 10)), Grant)
    wrong(verdict(signed(exp=now - 10), table(leeway_seconds=1)))


def test_one_of_several_audiences_will_do() -> None:
    assert isinstance(verdict(signed(aud=["other", AUDIENCE])), Grant)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(EC, "ES256", "ec"), (ED, "EdDSA", "ed"), (RSA, "PS512", "k1")]
)
def test_each_kind_of_key_signs(key: Any, algorithm: str, kid: str) -> None:
    settings = table(algorithms=(algorithm,))
    assert isinstance(verdict(signed(key, algorithm, {"kid": kid}), settings), Grant)


def test_a_shared_secret_signs() -> None:
    settings = table(algorithms=("HS256",), jwks_url=None, key_file="/secret")
    token = signed(SECRET, "HS256")
    assert isinstance(verdict(token, settings, SECRET), Grant)
    wrong(verdict(token, settings, b"t" * 64))


def by_hand(head: dict[str, Any], said: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(head).encode(), json.dumps(said).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", None, "HS256", "ES256", "RS257", 3])
def test_only_the_algorithms_of_the_settings_are_taken(name: Any) -> None:
    wrong(verdict(by_hand({"alg": name, "kid": "k1"}, claims())))
    wrong(verdict(by_hand({"alg": name, "kid": "k1"}, claims(), b"x" * 32)))


def test_a_public_key_is_no_secret() -> None:
    """Else whoever knows it, which is everybody, could sign."""
    import hashlib
    import hmac

    text = by_hand({"alg": "HS256", "kid": "k1"}, claims()).rpartition(".")[0]
    mac = hmac.new(PEM, text.encode(), hashlib.sha256).digest()
    forged = f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    wrong(verdict(forged))
    with pytest.raises(InvalidValue, match="of one kind"):
        table(algorithms=("RS256", "HS256"))


@pytest.mark.parametrize(
    "head",
    [
        {"jwk": {"kty": "RSA"}},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MII"]},
    ],
)
def test_a_key_in_the_token_itself_is_not_looked_at(head: Any) -> None:
    wrong(verdict(signed(OTHER, head=head)))


@pytest.mark.parametrize(
    "head",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"kid": 3},
        {"kid": ["k1"]},
        {"kid": ""},
        {"kid": "k" * 257},
    ],
)
def test_a_head_that_asks_for_more_is_refused(head: Any) -> None:
    wrong(
        verdict(
            signed_below(json.dumps({"alg": "RS256", "kid": "k1", **head}).encode()),
            key=RSA.public_key(),
        )
    )


@pytest.mark.parametrize(
    "head",
    [
        b'{"alg":"none","alg":"RS256","kid":"k1"}',
        b'{"alg":"RS256","ALG":"none","kid":"k1"}',
        b'{"alg":"RS256","kid":"\xff"}',
        b'{"alg":"RS256","kid":"\\ud800"}',
        b"[" * 9000,
        b'["RS256"]',
        b"",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(head: bytes) -> None:
    wrong(verdict(signed_below(head), key=RSA.public_key()))


def test_for_a_token_that_cannot_be_good_no_key_is_looked_for() -> None:
    async def find(kid: str | None) -> Any:
        raise AssertionError(kid)

    for token in (by_hand({"alg": "none"}, claims()), signed(iss="x"), signed(head={"crit": []})):
        wrong(verdict(token, find=find))


def test_a_claim_that_is_said_twice_is_not_believed() -> None:
    body = json.dumps(claims()).encode()[:-1] + b', "sub": "root"}'
    wrong(verdict(jwt.PyJWS().encode(body, RSA, "RS256", {"kid": "k1"})))


def test_the_issuer_is_read_of_any_token_also_of_one_that_is_not_signed() -> None:
    assert issuer_in(signed()) == issuer_in(by_hand({"alg": "none"}, claims())) == ISSUER
    for other in ("", "sk-x", "a.b.c", "a.b", f"{signed()}.a", f"{signed()}=", "ek_v1.x"):
        assert issuer_in(other) is None
    assert issuer_in(by_hand({}, claims(iss=[ISSUER]))) is None


def test_a_key_for_one_algorithm_verifies_no_other() -> None:
    settings = table(algorithms=("RS256", "RS512"))
    public = RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
    key = jwt.PyJWK({**public, "alg": "RS512"})
    assert isinstance(verdict(signed(algorithm="RS512"), settings, key), Grant)
    wrong(verdict(signed(algorithm="RS256"), settings, key))


@given(st.data())
def test_a_token_with_any_character_changed_or_cut_is_refused(data: Any) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    instead = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    wrong(verdict(GOOD[:at]))
    changed = GOOD[:at] + instead + GOOD[at + 1 :]
    if at < len(GOOD) - 1 and changed != GOOD:  # the last has bits that mean nothing
        wrong(verdict(changed))


def test_a_changed_token_is_refused() -> None:
    head, body, signature = signed().split(".")
    other = by_hand({"alg": "RS256", "kid": "k1"}, claims(sub="root")).split(".")[1]
    wrong(verdict(f"{head}.{other}.{signature}"))
    wrong(verdict(f"{head}.{body}.{signature[:-4]}"))
    wrong(verdict(f"{head}.{body}."))
    wrong(verdict(signed(OTHER)))
    wrong(verdict(signed(head={"kid": "unknown"})))


def test_a_short_key_is_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = signed(short)
    wrong(verdict(token, key=short.public_key()))


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
def test_whatever_is_no_token_is_refused(token: str) -> None:
    wrong(verdict(token))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "models", "limits", "jti"])


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_no_claims_raise_anything(said: dict[str, Any]) -> None:
    settings = table(models_claim="models", limits_claim="limits", safety_claim="jti")
    body = {**claims(models=["m"]), **said}
    text = by_hand({"alg": "RS256", "kid": "k1"}, body)
    wrong(verdict(text))
    token = jwt.PyJWS().encode(json.dumps(body).encode(), RSA, "RS256", {"kid": "k1"})
    assert isinstance(verdict(token, settings), (Grant, Refusal))


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jku"]), JSON))
def test_no_head_raises_anything(head: dict[str, Any]) -> None:
    wrong(verdict(by_hand(head, claims(), b"x" * 256)))


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"algorithms": ()}, "of one kind"),
        ({"algorithms": ("none",)}, "algorithms"),
        ({"key_file": "/k"}, "not both"),
        ({"jwks_url": None}, "must be set"),
        ({"jwks_url": "http://login.example/keys"}, "https://"),
        ({"jwks_url": "https://u:p@login.example/keys"}, "https://"),
        ({"jwks_url": "ftp://login.example/keys"}, "https://"),
        ({"jwks_url": "https://[::1/keys"}, "https://"),
        ({"algorithms": ("HS256",)}, "needs key_file"),
        ({"issuer": ""}, "issuer"),
        ({"audience": ""}, "audience"),
    ],
)
def test_what_does_not_go_together_is_a_fault(said: Any, fault: str) -> None:
    with pytest.raises(InvalidValue, match=fault):
        table(**said)


def test_an_url_on_loopback_may_be_plain() -> None:
    assert table(jwks_url="http://127.0.0.1:8000/keys").jwks_url is not None


def test_every_algorithm_is_one_of_pyjwts() -> None:
    known = set(jwt.algorithms.get_default_algorithms())
    assert {name for names in FAMILIES.values() for name in names} <= known
