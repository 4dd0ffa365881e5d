"""What the operator can say of issuers of JWTs and of the callback, and what must be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from relay.config import issuers
from relay.config.load import SettingsError, load
from relay.config.plan import Flags, Plan, plan

JWT = """
[[auth.jwt]]
issuer = "https://login.example/"
audience = "relay"
"""
URL = 'jwks_url = "https://login.example/keys"\n'
CALLBACK = '[auth.callback]\nurl = "https://app.example"\n'
KEY = rsa.generate_private_key(65537, 2048)


def pem(key: Any = KEY) -> bytes:
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(text)
    return caught.value.faults


@pytest.mark.parametrize("names", ['"HS256", "RS256"', '"RS256", "ES256"', '"ES256", "EdDSA"'])
def test_the_algorithms_of_a_table_are_of_one_kind(names: str) -> None:
    (fault,) = faults(f"{JWT}{URL}algorithms = [{names}]")
    assert "algorithms: must be of one kind" in fault


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "rs256", "ES256K", "A128KW"])
def test_there_is_no_other_algorithm_and_never_none(name: str) -> None:
    for listed in (f'"{name}"', f'"RS256", "{name}"'):
        (fault,) = faults(f"{JWT}{URL}algorithms = [{listed}]")
        assert "is no algorithm that is known here" in fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"{JWT}{URL}leeway_seconds = 601", "leeway_seconds: must be at most 600"),
        (f'{JWT}{URL}key = "x"', "key: unknown key; secrets stay out of this file"),
        (f'{CALLBACK}headers = ["x tenant"]', "headers: #1: must be the name of a header"),
        (f"{CALLBACK}seconds = 8", "seconds: must be less than hold_seconds, 8, not 8"),
        (f'{CALLBACK}token = "x"', "token: unknown key; secrets stay out of this file"),
        ('[auth.callback]\nurl = "http://app.example"', "url: must be an https:// URL; http://"),
    ],
)
def test_what_is_wrong_is_told(text: str, fault: str) -> None:
    (told,) = faults(text)
    assert fault in told


@pytest.mark.parametrize("before", [f"{JWT}jwks_url = ", "[auth.callback]\nurl = "])
@pytest.mark.parametrize("query", ["key=hunter2", "a=b&api_key=hunter2", "Token=hunter2"])
def test_a_secret_in_a_url_is_a_fault_and_not_repeated(before: str, query: str) -> None:
    (told,) = faults(f'{before}"https://login.example/?{query}"')
    assert "keep keys and tokens out of the URL" in told
    assert "hunter2" not in told


# -- the plan ------------------------------------------------------------------------------


def planned(tmp_path: Path, text: str, key: bytes | None = None) -> Plan | tuple[str, ...]:
    if key is not None:
        (tmp_path / "key").write_bytes(key)
    config = tmp_path / "relay.toml"
    config.write_text(text.replace("FILE", f'key_file = "{tmp_path}/key"\n'))
    return plan(str(config), Flags(demo=True), {})


@pytest.mark.parametrize("auth", [JWT + URL, CALLBACK])
def test_who_names_an_issuer_or_a_callback_may_listen_for_all(tmp_path: Path, auth: str) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'listen = ["tcp:0"]\n{auth}')
    found = plan(str(config), Flags(), {"OPENAI_API_KEY": "x"})
    assert isinstance(found, Plan), found
    assert found.guarded


def test_the_key_of_a_file_is_read_and_read_anew(tmp_path: Path) -> None:
    found = planned(tmp_path, f"{JWT}FILE", pem())
    assert isinstance(found, Plan)
    (issuer,) = found.access.jwt
    assert issuer.key is not None
    assert issuer.key() == KEY.public_key()
    other = rsa.generate_private_key(65537, 2048)
    (tmp_path / "key").write_bytes(pem(other) + b"\n")
    assert issuer.key() == other.public_key()


def test_a_secret_shows_nowhere(tmp_path: Path) -> None:
    found = planned(tmp_path, f'{JWT}FILE\nalgorithms = ["HS512"]', b"s" * 64)
    assert isinstance(found, Plan)
    assert found.access.jwt[0].key is not None
    assert found.access.jwt[0].key() == b"s" * 64
    assert "ssss" not in repr(found)


PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SHORT = pem(rsa.generate_private_key(65537, 1024))


@pytest.mark.parametrize(
    ("algorithm", "key", "fault"),
    [
        ("RS256", b"", "not the PEM of a public key"),
        ("RS256", PRIVATE, "not the PEM of a public key"),
        ("RS256", SHORT, "fewer than 2048 bits"),
        ("RS256", pem(ec.generate_private_key(ec.SECP256R1())), "not a key of the kind of"),
        ("ES256", pem(), "not a key of the kind of algorithms"),
        ("EdDSA", pem(), "not a key of the kind of algorithms"),
        ("HS256", b"s" * 31, "fewer than 32 characters"),
        ("HS512", b"s" * 63, "fewer than 64 characters"),
        ("HS256", pem(), "line 1: holds a space"),
    ],
)
def test_a_file_without_a_key_for_the_algorithms_is_a_fault(
    tmp_path: Path, algorithm: str, key: bytes, fault: str
) -> None:
    found = planned(tmp_path, f'{JWT}FILE\nalgorithms = ["{algorithm}"]', key)
    assert isinstance(found, tuple)
    (line,) = found
    assert line.startswith(f"[[auth.jwt]] #1 key_file: {fault}")


@pytest.mark.parametrize(
    ("text", "what"), [(JWT + URL, "[[auth.jwt]] #1"), (CALLBACK, "[auth.callback]")]
)
def test_authorities_that_cannot_be_read_are_a_fault(tmp_path: Path, text: str, what: str) -> None:
    lines = planned(tmp_path, f'{text}\nca_file = "{tmp_path}/none.pem"')
    assert lines == (f"{what} ca_file: {tmp_path}/none.pem: No such file or directory",)
    lines = planned(tmp_path, f'{text}\nca_file = "{tmp_path}/key"', b"no PEM")
    assert lines == (f"{what} ca_file: {tmp_path}/key: not a PEM certificate",)


def test_without_pyjwt_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "find_spec", lambda name: None)
    lines = planned(tmp_path, JWT + URL)
    assert lines == ("[[auth.jwt]] #1: needs PyJWT; install realtime-relay[jwt]",)
    assert isinstance(planned(tmp_path, CALLBACK), Plan)


def test_pyjwt_is_imported_only_where_an_issuer_is_named() -> None:
    code = "import sys, relay, relay.daemon.service; sys.exit('jwt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
