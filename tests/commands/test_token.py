"""C{realtime-relay token}: keys are made, listed and revoked, and only told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.commands.token import token
from relay.config.access import client_keys, digest_of
from relay.config.plan import settings_from


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "relay.toml"
    path.write_text(f'[auth]\nkeys_file = "{tmp_path}/keys.toml"')
    return str(path)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    token(arguments)
    return capsys.readouterr().out


def known(config: str) -> dict[str, bytes]:
    found = client_keys(settings_from(config).auth, {})
    assert found is not None
    return {key.subject: key.digest for key in found()}


def test_a_new_key_is_told_once_and_kept_as_its_hash(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (key,) = said(capsys, "new", "shop", "--config", config).split()
    assert key.startswith("rk_")
    assert len(key) == 46, "256 bits"
    assert key not in Path(config).with_name("keys.toml").read_text()
    assert known(config) == {"shop": digest_of(key)}
    other = said(capsys, "new", "--config", config, "kiosk").strip()
    assert known(config) == {"shop": digest_of(key), "kiosk": digest_of(other)}
    assert said(capsys, "list", "--config", config) == "shop\nkiosk\n"


def test_a_revoked_key_is_gone(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "new", "shop", "--config", config)
    said(capsys, "new", "kiosk", "--config", config)
    assert said(capsys, "--config", config, "revoke", "shop") == "shop is revoked\n"
    assert list(known(config)) == ["kiosk"]


def test_the_list_has_the_bounds_of_each_key(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "new", "shop", "--config", config)
    path = Path(config).with_name("keys.toml")
    path.write_text(path.read_text() + 'models = ["a", "b"]\nupstream = "azure"\n')
    assert said(capsys, "list", "--config", config) == "shop  models: a, b  upstream: azure\n"


@pytest.mark.parametrize(
    "words", [["new"], ["revoke"], ["list", "shop"], ["renew", "shop"], [], ["new", "a", "b"]]
)
def test_wrong_words_show_the_usage(
    config: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        token([*words, "--config", config])
    assert caught.value.code == 2
    assert "usage: realtime-relay token" in capsys.readouterr().err


def fault_of(*arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        token(arguments)
    return str(caught.value.code)


def test_what_cannot_be_done_is_one_line(config: str, tmp_path: Path) -> None:
    fault = fault_of("revoke", "shop", "--config", config)
    assert fault == "realtime-relay: there is no key named shop"
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    fault = fault_of("list", "--config", str(empty))
    assert fault.startswith("realtime-relay: the configuration names no file of keys")
    fault = fault_of("list", "--config", "/nowhere")
    assert fault == "realtime-relay: /nowhere: No such file or directory"
