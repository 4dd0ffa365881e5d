"""Which listeners can be, and which of them other machines reach."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from relay.config.listeners import (
    BY_TABLE,
    NOT_HANDED,
    OPEN_TO_ALL,
    UNUSABLE,
    fault_of_access,
    fault_of_endpoint,
    is_public,
)

PUBLIC = [
    "tcp:80",
    "tcp:80:0.0.0.0",
    "tcp:80:interface=10.0.0.1",
    "tcp6:80",
    r"tcp6:80:interface=\:\:",
    "ssl:443",
]
PRIVATE = [
    "tcp:80:127.0.0.1",
    "tcp:80:interface=127.0.0.1",
    "tcp:80:backlog=5:interface=localhost",
    r"tcp6:80:interface=\:\:1",
    "unix:/run/relay.sock",
    "systemd:domain=INET:index=0",
]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (IPv4Address("TCP", "127.0.0.1", 1), False),
        (IPv4Address("TCP", "127.8.9.1", 1), False),
        (IPv6Address("TCP", "::1", 1), False),
        (UNIXAddress("/run/relay.sock"), False),
        (IPv4Address("TCP", "0.0.0.0", 1), True),
        (IPv4Address("TCP", "10.0.0.1", 1), True),
        (IPv6Address("TCP", "::", 1), True),
    ],
)
def test_only_loopback_and_local_sockets_cannot_be_reached_from_outside(
    address: IAddress, public: bool
) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("endpoint", PUBLIC)
def test_an_endpoint_on_a_public_address_must_be_guarded(endpoint: str) -> None:
    assert fault_of_access(endpoint, guarded=False) == f"{endpoint} {OPEN_TO_ALL}"
    assert fault_of_access(endpoint, guarded=True) is None


@pytest.mark.parametrize("endpoint", PRIVATE)
def test_an_endpoint_that_asks_for_no_public_address_need_not_be_guarded(endpoint: str) -> None:
    assert fault_of_access(endpoint, guarded=False) is None


def test_the_fault_of_an_open_listener_names_the_ways_out() -> None:
    assert fault_of_access("tcp:80", guarded=False) == (
        "tcp:80 can be reached from other machines without authentication; set token_env or"
        " token_file in [auth], or allow_anonymous = true"
    )


@pytest.mark.parametrize(("host", "is_open"), [("10.0.0.1", True), ("127.0.0.1", False)])
@pytest.mark.parametrize("endpoint", ["tcp:80", "systemd:domain=INET:index=0"])
def test_the_address_of_a_listener_that_is_open_decides_over_its_endpoint(
    endpoint: str, host: str, is_open: bool
) -> None:
    address = IPv4Address("TCP", host, 80)
    fault = fault_of_access(endpoint, guarded=False, address=address)
    assert fault == (f"{endpoint} {OPEN_TO_ALL}" if is_open else None)
    assert fault_of_access(endpoint, guarded=True, address=address) is None


@pytest.mark.parametrize("endpoint", [*PUBLIC[:-1], *PRIVATE[:-1]])
def test_an_endpoint_that_can_be_used_has_no_fault(endpoint: str) -> None:
    assert fault_of_endpoint(endpoint) is None


@pytest.mark.parametrize(
    "endpoint", ["", "nonsense", "tcp", "tcp:http-alt", "systemd:index=7", "systemd:domain=INET"]
)
def test_an_endpoint_that_cannot_be_used_is_told_with_an_example(endpoint: str) -> None:
    assert fault_of_endpoint(endpoint) == (
        f'"{endpoint}" is no endpoint that can be used here; one is tcp:8080:interface=127.0.0.1'
    )


def test_tls_that_cannot_be_used_is_told_of_the_table() -> None:
    fault = fault_of_endpoint("ssl:443")
    assert fault == f'"ssl:443" {UNUSABLE}; for TLS, {BY_TABLE}'


@pytest.mark.parametrize("socket", ["index=7", "name=relay"])
def test_a_socket_that_systemd_has_not_handed_over_is_missed_only_by_who_listens(
    socket: str,
) -> None:
    endpoint = f"systemd:domain=INET:{socket}"
    assert fault_of_endpoint(endpoint) == f'"{endpoint}" {NOT_HANDED}'
    assert fault_of_endpoint(endpoint, listens=False) is None
