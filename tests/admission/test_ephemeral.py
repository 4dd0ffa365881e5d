"""Ephemeral secrets: what they say, who can have signed them, and who may send them."""

from __future__ import annotations

import base64
import re
import zlib
from typing import Any

import pytest
from attrs import evolve
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from memory import keyed
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from relay import Grant, GrantLimits, Refusal, Request
from relay.admission import ephemeral
from relay.admission.ephemeral import ELSEWHERE, FORM, Mint, Minted, with_secrets
from relay.admission.evenly import EVEN_SECONDS
from relay.admission.request import Admit
from relay.admission.revoked import Revoked
from relay.http.head import TOKEN, Head
from relay.policy.policy import Policy
from relay.rules.refusals import refuse

NOW = 1_800_000_000
KEYS = (b"k" * 32, b"l" * 32)
WHOLE = Grant(
    "ann",
    expires=NOW + 60,
    end_on_expiry=True,
    models=["m", "n"],
    upstream="azure",
    headers={"X-Note": "1"},
    credential="sk-of-the-tenant",
    limits=GrantLimits(sessions=3, idle_seconds=0, day_tokens=5, session_usage_seconds=7.5),
    policy=Policy(
        events=("session.update",),
        force={"instructions": "Sei höflich. 🦜", "tools": [{"type": "function"}]},
        default={"speed": 1.5},
        lock=("audio.output.voice",),
        event_bytes=2048,
    ),
    mints=False,
)
SAID = Minted(WHOLE, "realtime", "https://app.test", "0123")
SHORT = Minted(Grant(expires=NOW + 60, mints=False), "realtime", None, "4567")


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.timing.clock.time", lambda: float(NOW))


def request(secret: str, origin: str | None = None) -> Request:
    fields = [("authorization", f"Bearer {secret}")]
    fields += [("origin", origin)] if origin else []
    return Request("req_1", "192.0.2.1", Head("GET", "/v1/realtime", 1, tuple(fields)))


def decided(
    admit: Admit | None,
    mint: Mint,
    asked: Request,
    revoked: Revoked | None = None,
    base_path: str = "",
) -> Any:
    """The verdict, once it is there."""
    clock = Clock()
    verdict: Any = with_secrets(admit, mint, clock, revoked, base_path)(asked)
    if isinstance(verdict, (Grant, Refusal)):
        return verdict
    waiting: Any = Deferred.fromCoroutine(verdict)
    clock.advance(EVEN_SECONDS)
    got: list[Any] = []
    waiting.addCallback(got.append)
    return got[0]


def refused(verdict: Any) -> Refusal:
    assert isinstance(verdict, Refusal)
    assert verdict.code == "unauthorized"
    return verdict


@pytest.mark.parametrize("said", [SAID, SHORT])
def test_a_secret_says_what_was_minted(said: Minted) -> None:
    secret = Mint(KEYS).mint(said)
    assert Mint(KEYS).read(secret) == said


@pytest.mark.parametrize("said", [SAID, SHORT])
def test_a_secret_can_be_a_subprotocol_and_is_short(said: Minted) -> None:
    secret = Mint(KEYS).mint(said)
    assert TOKEN.fullmatch(secret)
    assert len(secret) < 700
    assert len(Mint(KEYS).mint(SHORT)) < 220


def test_the_first_key_signs_and_all_are_accepted() -> None:
    first, second = KEYS
    by_first = Mint([first, second]).mint(SAID)
    assert Mint([second, first]).read(by_first) == SAID
    assert Mint([first]).read(by_first) == SAID
    assert Mint([second]).read(by_first) is None


def test_nothing_of_what_a_secret_says_can_be_read_in_it() -> None:
    token = Mint(KEYS).mint(SAID).removeprefix(FORM)
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(data)):
        with pytest.raises(zlib.error):
            zlib.decompress(data[at:])
        assert b"ann" not in data


def test_what_the_key_signs_for_others_is_no_secret() -> None:
    plain = Fernet(base64.urlsafe_b64encode(KEYS[0]))
    claims = zlib.compress(b'{"id": "1"}')
    assert Mint(KEYS).read(FORM + plain.encrypt(claims).decode().rstrip("=")) is None


def test_without_keys_each_mint_has_its_own() -> None:
    one, other = Mint(), Mint()
    assert one.read(one.mint(SAID)) == SAID
    assert other.read(one.mint(SAID)) is None


def test_a_mint_of_its_own_key_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr("relay.admission.ephemeral._log.warn", warned.append)
    mint = Mint()
    assert warned == []
    mint.mint(SAID)
    mint.mint(SAID)
    Mint(KEYS).mint(SAID)
    assert warned == [ephemeral.UNLASTING]


SECRET = Mint(KEYS).mint(SAID)


@given(st.integers(0, len(SECRET) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_changed_character_is_accepted(at: int, character: str) -> None:
    changed = SECRET[:at] + character + SECRET[at + 1 :]
    assert (Mint(KEYS).read(changed) is not None) is (changed == SECRET)


@given(st.text(max_size=200))
def test_no_text_raises_or_is_accepted(text: str) -> None:
    assert Mint(KEYS).read(FORM + text) is None
    refused(decided(None, Mint(KEYS), request(FORM + text.replace("\n", ""))))


@pytest.mark.parametrize(
    "claims",
    [b"", b"{}", b"[]", b"7", b"{", b'{"id":"1","later":true}', b'{"id":"1","policy":[]}'],
)
def test_what_a_later_version_signs_otherwise_is_not_accepted(claims: bytes) -> None:
    mint = Mint(KEYS)
    for said in (claims, zlib.compress(claims)):
        assert mint.read(FORM + mint._signs.encrypt(said).decode().rstrip("=")) is None


# -- who is let in -------------------------------------------------------------------------

GUARDS = {"guarded": keyed("key"), "open": None}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_secret_lets_in_for_what_it_says_and_mints_nothing(guard: str) -> None:
    mint = Mint(KEYS)
    asked = request(mint.mint(SAID), "https://app.test")
    assert decided(GUARDS[guard], mint, asked) == WHOLE
    assert decided(GUARDS[guard], mint, request(mint.mint(SHORT))) == SHORT.grant
    assert not WHOLE.mints


def wrong_secrets() -> dict[str, tuple[str, str | None, str]]:
    mint = Mint(KEYS)
    late = Minted(Grant(expires=NOW, mints=False), "realtime", None, "89ab")
    return {
        "another relay's": (Mint().mint(SAID), None, "minted elsewhere"),
        "changed": (SECRET.replace(FORM, FORM + "A"), None, "minted elsewhere"),
        "cut": (FORM, None, "minted elsewhere"),
        "expired": (mint.mint(late), None, "89ab has expired"),
        "without its page": (mint.mint(SAID), None, "for the origin https://app.test only"),
        "of another page": (mint.mint(SAID), "https://evil.test", "for the origin"),
        "of a sandbox": (mint.mint(SAID), "null", "for the origin"),
    }


@pytest.mark.parametrize("name", wrong_secrets())
def test_a_wrong_secret_is_told_like_every_wrong_credential(name: str) -> None:
    secret, origin, why = wrong_secrets()[name]
    refusal = refused(decided(keyed("key"), Mint(KEYS), request(secret, origin)))
    assert refusal.message == refuse("unauthorized").message
    assert re.search(why, refusal.detail)


@pytest.mark.parametrize("name", [*wrong_secrets(), "OpenAI's"])
def test_a_relay_without_authentication_says_where_to_get_a_good_secret(name: str) -> None:
    secret, origin, _ = wrong_secrets().get(name, ("ek_68af296e8e408191a1120ab6383263c2", None, ""))
    refusal = refused(decided(None, Mint(KEYS), request(secret, origin)))
    assert refusal.message == ELSEWHERE.format(base="")
    assert "minted elsewhere" in refusal.message


def test_where_to_get_a_good_secret_is_below_the_base_path() -> None:
    refusal = refused(decided(None, Mint(KEYS), request("ek_elsewhere"), base_path="/voice"))
    assert "POST /voice/v1/realtime/client_secrets" in refusal.message


def test_any_other_credential_is_for_admit_or_for_nobody() -> None:
    assert decided(None, Mint(KEYS), request("anything")) == Grant()
    own = keyed("ek_mine", "key")
    assert decided(own, Mint(KEYS), request("key")) == Grant("key-2")
    assert decided(own, Mint(KEYS), request("ek_mine")) == Grant("key-1"), "an embedder's own"
    refused(decided(own, Mint(KEYS), request("ek_other")))


def test_a_secret_of_before_its_subject_was_revoked_is_refused_and_one_of_after_is_not() -> None:
    mint, revoked = Mint(KEYS), Revoked()
    old, other, new = (
        mint.mint(Minted(evolve(SHORT.grant, subject=subject), "realtime", None, "4567", at))
        for subject, at in (("ann", NOW - 1), ("ben", NOW - 1), ("ann", NOW + 1))
    )
    revoked.add("ann", NOW)
    why = refused(decided(keyed("abc"), mint, request(old), revoked)).detail
    assert why == "the ephemeral secret 4567 was minted before its subject was revoked"
    for secret in (other, new):
        assert isinstance(decided(keyed("abc"), mint, request(secret), revoked), Grant)
