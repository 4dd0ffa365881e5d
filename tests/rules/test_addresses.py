"""Which hosts are this machine, and which only look so."""

from __future__ import annotations

import pytest

from relay.rules.addresses import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("128.0.0.1", False),
        ("localhost.evil.test", False),
        ("notlocalhost", False),
        ("127.0.0.1.evil.test", False),
        ("2130706433", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
