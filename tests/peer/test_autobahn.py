"""Text is UTF-8, in parts or whole."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from relay.peer.autobahn import PART, is_utf8


def decodes(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.binary() | st.text().map(str.encode), st.integers(1, 5))
def test_text_is_utf8_if_python_can_decode_it(text: bytes, part: int) -> None:
    with patch("relay.peer.autobahn.PART", part):
        assert is_utf8(text) == decodes(text)


def test_a_character_may_stand_across_two_parts() -> None:
    text = b"x" * (PART - 1) + "é".encode()
    assert is_utf8(text)
    assert not is_utf8(text[:-1] + b"x")
    assert not is_utf8(text[:-1])


def test_surrogates_and_long_forms_are_not_utf8() -> None:
    for text in (b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xff"):
        assert not is_utf8(text)
