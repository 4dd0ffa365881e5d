"""Which Host and Origin a listener answers to: scheme, host and port, all exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.admission.origins import (
    host_is_allowed,
    host_name,
    is_change_from_elsewhere,
    origin_is_allowed,
)
from relay.http.head import Head
from relay.rules.addresses import is_loopback

OWN = "relay.test:8080"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Relay.Test:8080", "relay.test"),
        ("relay.test.", "relay.test"),
        ("localhost", "localhost"),
        ("[::1]:8080", "::1"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1", ""),
        ("", ""),
    ],
)
def test_a_host_header_is_read_without_case_port_and_last_dot(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:8080", True),
        ("LOCALHOST", True),
        ("localhost.:1", True),
        ("[::1]", True),
        ("relay.test", True),
        ("RELAY.test.:443", True),
        ("evil.test", False),
        ("relay.test.evil.test", False),
        ("sub.relay.test", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_only_loopback_and_named_hosts_are_answered(host: str, allowed: bool) -> None:
    assert host_is_allowed(host, {"relay.test"}) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://relay.test:8080", True),
        ("HTTP://Relay.Test:8080", True),
        ("https://relay.test:8080", False),
        ("http://relay.test", False),
        ("http://relay.test:8081", False),
        ("http://sub.relay.test:8080", False),
        ("http://relay.test.evil.test:8080", False),
        ("http://relay.test:8080@evil.test", False),
        ("http://user@relay.test:8080", False),
        ("http://relay.test:8080/", False),
        ("http://relay.test:8080/path", False),
        ("http://relay.test:8080?q", False),
        ("http://relay.test:8080#f", False),
        ("ws://relay.test:8080", False),
        ("//relay.test:8080", False),
        ("relay.test:8080", False),
        ("http://", False),
        ("http://[::1", False),
        ("http://relay.test:port", False),
        ("http://relay.test:99999", False),
        ("http://localhost:8080", False),
        ("null", False),
        ("", False),
    ],
)
def test_the_relays_own_origin_is_allowed_only_when_exact(origin: str, allowed: bool) -> None:
    assert origin_is_allowed(origin, host=OWN, secure=False, loopback=False, origins=()) is allowed


@pytest.mark.parametrize(
    ("origin", "host", "secure", "allowed"),
    [
        ("http://relay.test", "relay.test", False, True),
        ("http://relay.test:80", "relay.test", False, True),
        ("http://relay.test", "relay.test:80", False, True),
        ("https://relay.test", "relay.test", False, False),
        ("https://relay.test", "relay.test", True, True),
        ("https://relay.test:443", "relay.test", True, True),
        ("https://relay.test", "relay.test:443", True, True),
        ("http://relay.test", "relay.test", True, False),
        ("https://relay.test", "relay.test:80", True, False),
        ("http://[::1]:8080", "[::1]:8080", False, True),
        ("http://relay.test", "[::1", False, False),
        ("http://relay.test", "", False, False),
    ],
)
def test_the_relays_own_origin_has_the_listeners_scheme_and_port(
    origin: str, host: str, secure: bool, allowed: bool
) -> None:
    assert (
        origin_is_allowed(origin, host=host, secure=secure, loopback=False, origins=()) is allowed
    )


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3000", "https://127.0.0.1:1", "http://[::1]:5173"],
)
def test_loopback_pages_are_allowed_only_on_a_loopback_listener(origin: str) -> None:
    assert origin_is_allowed(origin, host=OWN, secure=False, loopback=True, origins=())
    assert not origin_is_allowed(origin, host=OWN, secure=False, loopback=False, origins=())


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test",
        "http://localhost.evil.test",
        "file://localhost",
        "file://",
        "null",
        "capacitor://localhost",
        "tauri://localhost:1430",
        "app://.",
        "ext://127.0.0.1",
        "ws://localhost",
    ],
)
def test_a_loopback_listener_allows_no_page_from_elsewhere(origin: str) -> None:
    assert not origin_is_allowed(origin, host=OWN, secure=False, loopback=True, origins=())


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.test", True),
        ("https://APP.test:443", True),
        ("http://app.test", False),
        ("https://app.test:8443", False),
        ("https://www.app.test", False),
        ("http://app.test:3000", True),
        ("http://app.test:3001", False),
        ("chrome-extension://abc", True),
        ("chrome-extension://abd", False),
        ("chrome-extension://ABC", True),
        ("null", True),
        ("file://", False),
        ("file:///", False),
        ("capacitor://localhost", True),
        ("ionic://localhost", False),
        ("app://.", True),
        ("app://..", False),
        ("app://-", False),
    ],
)
@pytest.mark.parametrize("loopback", [False, True])
def test_named_origins_are_allowed_by_scheme_host_and_port(
    origin: str, allowed: bool, loopback: bool
) -> None:
    web = ("https://app.test", "http://app.test:3000")
    origins = (*web, "chrome-extension://abc", "null", "capacitor://localhost", "app://.")
    asked = origin_is_allowed(origin, host=OWN, secure=False, loopback=loopback, origins=origins)
    assert asked is allowed


@given(
    st.text(max_size=40) | st.text(st.sampled_from("htp:/[]@.#?1a"), max_size=30),
    st.text(max_size=20),
)
def test_no_text_as_host_or_origin_raises(origin: str, host: str) -> None:
    if origin_is_allowed(origin, host=host, secure=True, loopback=False, origins=()):
        assert origin.lower().startswith("https://")
    assert host_is_allowed(host, ()) is is_loopback(host_name(host))


def asking(method: str, *fields: tuple[str, str]) -> Head:
    return Head(method, "/drain", 1, (("host", OWN), *fields))


CHANGING = ["POST", "DELETE", "PUT", "PATCH", "OPTIONS", "ANY", "get"]
OWN_PAGE = ("origin", f"http://{OWN}")


@pytest.mark.parametrize("method", CHANGING)
@pytest.mark.parametrize(
    "fields",
    [
        [("origin", "http://relay.test:8081")],
        [("origin", "https://relay.test:8080")],
        [("origin", "http://localhost:8080")],
        [("origin", "null")],
        [("origin", "")],
        [OWN_PAGE, ("origin", "http://evil.test")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "")],
        [OWN_PAGE, ("sec-fetch-site", "cross-site")],
    ],
)
def test_no_page_of_another_origin_changes_anything(
    method: str, fields: list[tuple[str, str]]
) -> None:
    assert is_change_from_elsewhere(asking(method, *fields), False)
    for reading in ("GET", "HEAD"):
        assert not is_change_from_elsewhere(asking(reading, *fields), False)


@pytest.mark.parametrize("method", CHANGING)
@pytest.mark.parametrize(
    "fields",
    [
        [],
        [OWN_PAGE],
        [OWN_PAGE, ("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "none")],
    ],
)
def test_the_listeners_own_pages_and_programs_may_change_something(
    method: str, fields: list[tuple[str, str]]
) -> None:
    assert not is_change_from_elsewhere(asking(method, *fields), False)


def test_a_change_needs_the_origin_with_the_listeners_scheme() -> None:
    assert is_change_from_elsewhere(asking("POST", OWN_PAGE), True)
    assert not is_change_from_elsewhere(asking("POST", ("origin", f"https://{OWN}")), True)
