"""Pongs as bytes, as another implementation makes them."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from relay.peer.control import pongs

payloads = st.lists(st.binary(max_size=125), max_size=5)


@given(payloads)
def test_a_servers_pongs_have_the_payloads_of_the_pings(payloads: list[bytes]) -> None:
    expected = [Frame(Opcode.PONG, payload).serialize(mask=False) for payload in payloads]
    assert pongs(payloads) == expected


@given(payloads, st.binary(min_size=4, max_size=4))
def test_a_clients_pongs_are_masked(payloads: list[bytes], mask: bytes) -> None:
    with patch("secrets.token_bytes", lambda size: mask):
        expected = [Frame(Opcode.PONG, payload).serialize(mask=True) for payload in payloads]
    assert pongs(payloads, mask * len(payloads)) == expected


def test_each_pong_of_a_client_has_a_mask_of_its_own() -> None:
    assert pongs([b"", b""], b"firstone") == [b"\x8a\x80firs", b"\x8a\x80tone"]


def test_no_pong_goes_without_its_mask() -> None:
    with pytest.raises(ValueError, match="zip"):
        pongs([b"", b""], b"only")
