"""How much a TLS line takes at once."""

from __future__ import annotations

from unittest.mock import Mock

from twisted.internet.main import CONNECTION_DONE

from relay.wire.sockets import FIRST_READ
from relay.wire.tls import AT_ONCE, TlsLine

SHORTEST = 27
"""Bytes of a record that asks for new keys (RFC 8446, 4.6.3 and 5.2)."""

SECONDS = 21e-6
"""What such a record costs, as measured."""


def test_what_is_read_in_one_turn_cannot_ask_for_more_new_keys_than_a_turn_has_time_for() -> None:
    asked: list[int] = []

    def recv(size: int) -> bytes:
        asked.append(size)
        return bytes(size) if len(asked) < 10 else b""

    line = object.__new__(TlsLine)
    line._recv, line._most = recv, FIRST_READ
    line._connection, line._decrypt = Mock(), Mock(return_value=None)  # type: ignore[method-assign]
    while line.doRead() is not CONNECTION_DONE:
        pass
    assert max(asked) == AT_ONCE
    assert AT_ONCE / SHORTEST * SECONDS < 0.03
