"""Whose word is taken for who the client is, and for what."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.admission.client import LOCAL, UNKNOWN, Client, Proxies, client_of
from relay.http.head import Head

TRUSTED = Proxies(["10.0.0.0/8", "127.0.0.1", "2001:db8:1::/48"])


def client(
    peer: str = "10.0.0.1",
    trusted: Proxies = TRUSTED,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> Client:
    headers = {**(headers or {}), **more}
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return client_of(Head("GET", "/", 1, fields), peer, trusted)


EVERYTHING = {
    "forwarded": "for=192.0.2.1;proto=https",
    "x_forwarded_for": "192.0.2.1",
    "x_forwarded_proto": "https",
    "x_request_id": "theirs",
}


@pytest.mark.parametrize("peer", ["192.0.2.9", "127.0.0.2", "2001:db8:2::1", LOCAL, UNKNOWN])
def test_who_is_not_trusted_is_not_believed(peer: str) -> None:
    assert client(peer, headers=EVERYTHING) == Client(peer)


@pytest.mark.parametrize("peer", ["10.9.9.9", "127.0.0.1", "2001:db8:1::7"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    assert client(peer, headers=EVERYTHING) == Client("192.0.2.1", True, True, "theirs")


def test_unix_stands_for_the_peers_of_a_unix_socket_alone() -> None:
    trusted = Proxies(["unix"])
    assert client(LOCAL, trusted=trusted, x_forwarded_for="192.0.2.1").address == "192.0.2.1"
    assert client("10.0.0.1", trusted=trusted, x_forwarded_for="192.0.2.1").address == "10.0.0.1"


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.7, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.7, 192.0.2.1, 10.0.0.2, 10.0.0.3", "192.0.2.1"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("rubbish, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("192.0.2.1, _hidden, 10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_rightmost_address_that_is_not_trusted_counts(chain: str, address: str) -> None:
    found = client(x_forwarded_for=chain)
    assert (found.address, found.spoken_for, found.ignored) == (address, True, None)


def test_a_hidden_client_keeps_its_scheme() -> None:
    found = client(forwarded="for=192.0.2.1;proto=http, for=unknown;proto=https")
    assert found == Client("10.0.0.1", True, True)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"forwarded": 'for="1'}, "Forwarded is malformed"),
        ({"x_forwarded_for": "192.0.2.1, nobody"}, "X-Forwarded-For is malformed"),
        ({"x_forwarded_proto": "gopher"}, "X-Forwarded-Proto is malformed"),
        ({"x_request_id": "a b"}, "X-Request-Id is malformed"),
        (
            {"forwarded": "for=192.0.2.1", "x_forwarded_for": "192.0.2.2"},
            "Forwarded and X-Forwarded disagree",
        ),
        (
            {"forwarded": "for=10.0.0.1;proto=https", "x_forwarded_proto": "http"},
            "Forwarded and X-Forwarded disagree",
        ),
    ],
)
def test_what_is_ignored_is_said(headers: dict[str, str], said: str) -> None:
    found = client(headers=headers)
    assert found.address == "10.0.0.1"
    assert found.secure is None
    assert found.id is None
    assert found.ignored == f"not believed of the proxy 10.0.0.1: {said}"


@pytest.mark.parametrize(
    ("peer", "headers", "near"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        (LOCAL, {}, True),
        ("192.0.2.1", {}, False),
        (UNKNOWN, {}, False),
        ("127.0.0.1", {"x_forwarded_for": "192.0.2.1"}, False),
        ("127.0.0.1", {"x_forwarded_for": "not, good"}, False),
        ("127.0.0.1", {"forwarded": "for=unknown"}, False),
    ],
)
def test_a_program_of_this_machine_is_near_unless_it_speaks_for_others(
    peer: str, headers: dict[str, str], near: bool
) -> None:
    assert client(peer, headers=headers).is_near is near


addresses = st.ip_addresses().map(str)


@given(st.lists(addresses, max_size=5), addresses)
def test_no_invention_moves_the_address_that_the_proxy_saw(invented: list[str], seen: str) -> None:
    told = client(x_forwarded_for=", ".join([*invented, seen]))
    alone = client(x_forwarded_for=seen)
    assert seen in TRUSTED or told == alone
