"""The keys that clients may send, and what signs: where they come from, and how they change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay import Policy
from relay.config import keyring
from relay.config.access import ClientKey, client_keys, digest_of, hash_of, signing_keys
from relay.config.auth import Auth, KeyLimits
from relay.config.keys import KeyFault

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"
HASH = hash_of(SECRET)


def table(name: str, key: str = SECRET, more: str = "") -> str:
    return f'[[key]]\nname = "{name}"\nhash = "{hash_of(key)}"\n{more}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def keys(**said: Any) -> tuple[ClientKey, ...]:
    found = client_keys(Auth(**said), {"TOKEN": "two"})
    assert found is not None
    return found()


def fault_of(read: Callable[[], object]) -> str:
    with pytest.raises(KeyFault) as caught:
        read()
    assert "hunter2" not in caught.value.line
    assert caught.value.line.isprintable()
    return caught.value.line


def test_no_source_of_keys_is_no_authentication() -> None:
    assert client_keys(Auth(), {"TOKEN": "two"}) is None


def test_the_subjects_of_keys_are_their_names_the_variable_or_the_line(path: Path) -> None:
    path.write_text(table("shop", "k", 'models = ["m"]\nupstream = "azure"\n'))
    tokens = path.with_name("tokens")
    tokens.write_bytes(b"one\r\n\nthree\n")
    assert keys(keys_file=str(path), token_env="TOKEN", token_file=str(tokens)) == (
        ClientKey("shop", digest_of("k"), ("m",), "azure"),
        ClientKey("token_env", digest_of("two")),
        ClientKey("token_file:1", digest_of("one")),
        ClientKey("token_file:3", digest_of("three")),
    )


def test_a_key_may_have_limits_and_a_policy_of_its_own(path: Path) -> None:
    limits = "[key.limits]\nsessions = 2\nday_tokens = 1_000\nsession_usage_seconds = 7.5\n"
    more = limits + '[key.policy]\nlock = ["audio.output.voice"]\n'
    path.write_text(table("shop", "k", more) + table("b", "k2"))
    shop, other = keys(keys_file=str(path))
    assert (shop.limits, shop.policy) == (
        KeyLimits(sessions=2, day_tokens=1000, session_usage_seconds=7.5),
        Policy(lock=("audio.output.voice",)),
    )
    assert (other.limits, other.policy) == (KeyLimits(), Policy())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("limits = 2\n", "limits: must be a table"),
        ("[key.limits]\nsessions = -1\n", "[limits]: sessions: must be"),
        ("[key.limits]\nsessionz = 1\n", "sessionz: unknown key"),
        ("[key.limits]\nday_tokens = 1.5\n", "[limits]: day_tokens: must be"),
        ("[key.limits]\nday_usage_seconds = -1\n", "[limits]: day_usage_seconds: must be"),
        ("[key.policy]\nevents = 3\n", "[policy]: events: must be"),
    ],
)
def test_what_is_wrong_in_a_keys_own_tables_is_named(path: Path, more: str, said: str) -> None:
    path.write_text(table("shop", "k", more))
    assert said in fault_of(lambda: keys(keys_file=str(path)))


def test_a_file_of_keys_may_have_none(path: Path) -> None:
    """So the last one can be revoked, and then nobody comes in."""
    path.write_text("")
    assert keys(keys_file=str(path)) == ()


def test_no_key_shows(path: Path) -> None:
    path.write_text(table("shop"))
    assert "hunter2" not in repr(keys(keys_file=str(path)))
    assert HASH[3:] not in repr(keys(keys_file=str(path)))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[key]]\nname = "a"', 'hash: must be "v1:"'),
        (f'[[key]]\nhash = "{HASH}"', "name: must consist"),
        (f'[[key]]\nname = "A b"\nhash = "{HASH}"', "name: must consist"),
        ('[[key]]\nname = "a"\nhash = "v2:00"', 'hash: must be "v1:"'),
        (f'[[key]]\nname = "a"\nhash = "{SECRET}"', 'hash: must be "v1:"'),
        (f'[[key]]\nname = "a"\nkey = "{SECRET}"', "a key is known here by its hash"),
        (table("a") + table("a"), 'two are named "a"'),
        ("[key]", "must be a list of tables"),
        ("nothing", "not TOML"),
        ("a = 1", "unknown key"),
    ],
)
def test_a_file_that_is_none_is_a_fault(path: Path, text: str, fault: str) -> None:
    path.write_text(text)
    line = fault_of(lambda: keys(keys_file=str(path)))
    assert line.startswith("[auth] keys_file: ")
    assert fault in line


def test_bytes_that_are_no_text_are_a_fault(path: Path) -> None:
    path.write_bytes(b"\xff")
    assert fault_of(lambda: keys(keys_file=str(path))) == "[auth] keys_file: not UTF-8 text"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            {"token_env": "NOT_SET"},
            "[auth] token_env: the environment variable NOT_SET is not set or empty",
        ),
        (
            {"token_file": "/no/where"},
            "[auth] token_file: cannot be read: No such file",
        ),
        ({"keys_file": "/no/where"}, "[auth] keys_file: cannot be read: No such file"),
    ],
)
def test_what_is_named_and_missing_is_a_fault(said: dict[str, str], line: str) -> None:
    assert fault_of(lambda: keys(**said)).startswith(line)


def test_a_bad_token_is_named_by_its_line(path: Path) -> None:
    path.write_text("one\nhunter2 hunter2\n")
    line = fault_of(lambda: keys(token_file=str(path)))
    assert line.startswith("[auth] token_file: line 2: holds a space")


def test_a_file_that_changes_counts_at_once_and_one_that_breaks_does_not(path: Path) -> None:
    keyring.add(path, "shop", "a")
    found = client_keys(Auth(keys_file=str(path)), {})
    assert found is not None
    assert [key.subject for key in found()] == ["shop"]
    keyring.add(path, "kiosk", "b")
    assert [key.subject for key in found()] == ["shop", "kiosk"]
    keyring.revoke(path, "shop")
    assert [key.subject for key in found()] == ["kiosk"]
    path.write_text("nothing")
    assert [key.subject for key in found()] == ["kiosk"]


# -- the file is changed -------------------------------------------------------------------


def test_what_else_is_in_the_file_stays(path: Path) -> None:
    path.write_text("# of the shop\n" + table("one", more='models = ["m"]\n') + "\n# behind it\n")
    before = path.read_text()
    keyring.add(path, "two", "b")
    assert path.read_text().startswith(before)
    keyring.add(path, "three", "c")
    keyring.revoke(path, "two")
    assert [each.name for each in keyring.keys_in(path)] == ["one", "three"]
    assert path.read_text().startswith(before)


def test_a_file_without_a_line_end_is_not_glued_to(path: Path) -> None:
    path.write_text(table("one").rstrip())
    keyring.add(path, "two", "b")
    assert [each.name for each in keyring.keys_in(path)] == ["one", "two"]


def test_a_file_that_is_not_there_yet_has_no_keys(path: Path) -> None:
    assert keyring.keys_in(path) == ()
    assert fault_of(lambda: keyring.revoke(path, "a")) == "there is no key named a"
    keyring.add(path, "a", "k")
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_file_keeps_its_mode_and_its_link(path: Path) -> None:
    real = path.with_name("real")
    real.write_text(table("one"))
    real.chmod(0o600)
    path.symlink_to("real")
    keyring.add(path, "two", "b")
    assert (path.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o600)
    assert sorted(os.listdir(path.parent)) == ["keys.toml", "real"]


def test_a_name_that_is_taken_or_none_is_refused(path: Path) -> None:
    keyring.add(path, "a", SECRET)
    before = path.read_text()
    assert "there is a key named a already" in fault_of(lambda: keyring.add(path, "a", SECRET))
    assert "the name of a key must consist" in fault_of(lambda: keyring.add(path, 'b"\n', SECRET))
    assert path.read_text() == before


def test_a_key_that_is_written_otherwise_is_left_to_the_operator(path: Path) -> None:
    path.write_text(f'key = [{{ name = "a", hash = "{HASH}" }}]\n')
    assert "take out a by hand" in fault_of(lambda: keyring.revoke(path, "a"))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    line = fault_of(lambda: keyring.add(tmp_path / "no" / "keys", "a", SECRET))
    assert line == "the file of keys cannot be written: No such file or directory"


# -- what signs ----------------------------------------------------------------------------


def test_the_keys_that_sign_are_in_the_order_of_the_settings(path: Path) -> None:
    other = path.with_name("other")
    path.write_text("a" * 32 + "\n")
    other.write_text("b" * 40)
    assert signing_keys(Auth(signing_keys=(str(other), str(path)))) == (b"b" * 40, b"a" * 32)
    assert signing_keys(Auth()) == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the file is empty"),
        ("hunter2", "fewer than 32 characters"),
        (f"{SECRET}\n{SECRET}\n", "more than one line"),
    ],
)
def test_a_file_that_cannot_sign_is_a_fault(path: Path, text: str, fault: str) -> None:
    path.write_text(text)
    line = fault_of(lambda: signing_keys(Auth(signing_keys=(str(path),))))
    assert line == f"[auth] signing_keys #1: {fault}"
