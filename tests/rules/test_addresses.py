"""Which hosts are this machine, and which only look so."""

from __future__ import annotations

import pytest

from relay.rules.addresses import bracketed, is_loopback


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
def test_only_loopback_addresses_and_names_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("relay.example", "relay.example"), ("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")],
)
def test_a_host_stands_in_a_url_with_brackets_if_it_is_of_ipv6(host: str, expected: str) -> None:
    assert bracketed(host) == expected
