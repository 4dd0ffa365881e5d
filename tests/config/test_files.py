"""Where the files are that the settings name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from relay.config.authorizers import JwtTable
from relay.config.files import beside, secrets_in
from relay.config.load import load
from relay.config.places import table_in
from relay.config.plan import settings_from
from relay.config.settings import Settings

ALL = """
[[listener]]
certificate = "{0}own.pem"
key = "{0}own.key"
[[upstream]]
key_file = "{0}up.key"
ca_file = "{0}up-ca.pem"
client_certificate = "{0}client.pem"
[auth]
keys_file = "{0}keys.toml"
token_file = "{0}tokens"
signing_keys = ["{0}one", "{0}two"]
[[auth.jwt]]
issuer = "i"
audience = "a"
key_file = "{0}jwt.pem"
ca_file = "{0}jwt-ca.pem"
[auth.callback]
token_file = "{0}bearer"
ca_file = "{0}callback-ca.pem"
[fleet]
url = "rediss://store.example"
password_file = "{0}redis"
ca_file = "{0}redis-ca.pem"
"""


def test_a_relative_path_is_against_the_folder_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relay.toml").write_text(ALL.format(""))
    monkeypatch.chdir("/")
    whole = load(ALL.format(f"{tmp_path}/"))
    assert settings_from(str(tmp_path / "relay.toml")) == whole
    monkeypatch.chdir(tmp_path)
    assert settings_from("relay.toml") == whole


def test_a_whole_path_stays_as_it_is() -> None:
    whole = load(ALL.format("/run/secrets/"))
    assert beside(whole, "/etc") == whole


def names(cls: type) -> Iterator[str]:
    for attribute in attrs.fields(attrs.resolve_types(cls)):
        kind, _ = table_in(attribute)
        yield from (attribute.name,) if kind is None else names(kind)


def test_no_key_for_a_file_is_forgotten() -> None:
    called = {name for name in names(Settings) if name.endswith(("_file", "certificate"))}
    assert all(name in ALL for name in called)


def test_the_secret_files_are_all_that_hold_a_key_or_token() -> None:
    assert list(secrets_in(load(ALL.format("/")))) == [
        ("[[listener]] #1: key", "/own.key"),
        ("[[upstream]] #1: key_file", "/up.key"),
        ("[[upstream]] #1: client_certificate", "/client.pem"),
        ("[auth]: token_file", "/tokens"),
        ("[auth]: signing_keys", "/one"),
        ("[auth]: signing_keys", "/two"),
        ("[auth]: [callback]: token_file", "/bearer"),
        ("[fleet]: password_file", "/redis"),
    ]


def test_the_key_of_an_issuer_is_secret_where_it_is_shared() -> None:
    public = JwtTable(issuer="i", audience="a", key_file="/k")
    assert list(secrets_in(public)) == []
    shared = attrs.evolve(public, algorithms=("HS256",))
    assert list(secrets_in(shared)) == [("key_file", "/k")]
