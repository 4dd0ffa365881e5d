"""Foreign JSON is read as far as it is worth it."""

from __future__ import annotations

import pytest

from relay.rules.values import MAX_READ, as_table, as_text, parse_json


@pytest.mark.parametrize(
    "payload", [b"", b"nonsense", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 40_000, b"1" * 5000]
)
def test_what_is_no_json_is_none(payload: bytes) -> None:
    assert parse_json(payload) is None


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_json_that_is_too_large_is_not_read(over: int) -> None:
    payload = b'"' + b"x" * (MAX_READ + over - 2) + b'"'
    assert len(payload) == MAX_READ + over
    assert (parse_json(payload) is None) == (over > 0)


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": 1}, True])
def test_only_a_string_is_a_text(value: object) -> None:
    assert as_text(value) == ""
    assert as_text("a") == "a"


@pytest.mark.parametrize("value", [None, 1, ["a"], "a", True])
def test_only_an_object_is_a_table(value: object) -> None:
    assert as_table(value) == {}
    assert as_table({"a": 1}) == {"a": 1}
