"""What a value in the settings may be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from relay.config import checks


def fault_of(validator: checks.Validator, value: object) -> str | None:
    """What it says of a field's value."""
    attribute: Any = SimpleNamespace(name="field")
    try:
        validator(None, attribute, value)
    except ValueError as error:
        return str(error)
    return None


GOOD_URLS = [
    "wss://api.openai.com/v1/realtime",
    "ws://127.0.0.1:8000",
    "ws://[::1]:9000/v1/realtime",
    "wss://api.x.ai:443/",
]
BAD_URLS = [
    "http://a.example",
    "wss://",
    "wss:a.example",
    "//a.example",
    "wss:///path",
    "wss://a.example:0",
    "wss://a.example:70000",
    "wss://a.example:port",
    "wss://a b.example",
    "wss://a.example/\n",
    "\twss://a.example",
    "wss://a.example\\x",
    "wss://a.example/\\x",
    "wss://[::1",
    "wss://[fe80::1%eth0]/",
    "wss://300.1.1.1/",
    "wss://127.1/",
    "wss://-a.example/",
    "wss://ä.example/",
]
SECRET_URLS = [
    "wss://user:hunter2@a.example/",
    "wss://hunter2@a.example/",
    "wss://a.example/?key=hunter2",
    "wss://a.example/?key=",
    "wss://a.example/?hunter2&token",
    "wss://a.example/#hunter2",
    "http://hunter2@a.example/",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_good_websocket_url_has_no_fault(url: str) -> None:
    assert checks.websocket_url(url) is None


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_is_no_websocket_url_is_a_fault(url: str) -> None:
    fault = checks.websocket_url(url)
    assert fault is not None
    assert fault.endswith(" is not a ws:// or wss:// URL")
    assert fault.isprintable()


@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_url_with_what_may_be_a_secret_is_not_repeated(url: str) -> None:
    fault = checks.websocket_url(url)
    assert fault is not None
    assert "hunter2" not in fault


def test_a_url_may_have_a_query_without_secrets() -> None:
    assert checks.websocket_url("wss://a.example/p?api-version=2025-04-01-preview") is None


def test_a_missing_url_is_named_as_missing() -> None:
    fault = "must be set, for this provider has no URL of its own"
    assert checks.websocket_url("") == fault


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({}, None),
        ({"gpt-realtime": "my deployment"}, None),
        ("x", "must be a table, not a string"),
        ({"a": 1}, '"a" must be given a name'),
        ({"a": ""}, '"a" must be given a name'),
        ({"": "a"}, '"" must be given a name'),
        ({"a": "b\n"}, '"a" must be given a name'),
    ],
)
def test_models_must_be_a_table_of_names(value: object, fault: str | None) -> None:
    assert fault_of(checks.models, value) == (fault and f"field: {fault}")


@pytest.mark.parametrize(
    ("value", "fault"), [(None, None), (1, None), (0, "field: must be at least 1, not 0")]
)
def test_an_optional_number_may_be_left_out_and_has_bounds(
    value: object, fault: str | None
) -> None:
    assert fault_of(checks.unless_unset(checks.whole_number(1, 9)), value) == fault


APPS = [
    "null",
    "file://",
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "tauri://localhost:1430",
    "https://tauri.localhost",
    "app://.",
    "app://-",
    "app://obsidian.md",
    "wails://wails",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://0e9b3f5c-7f0a-4a55-9b2e-1d5f0a6c7d8e",
    "safari-web-extension://0e9b3f5c-7f0a-4a55-9b2e-1d5f0a6c7d8e",
    "vscode-webview://1ab2c3d4e5f6g7h8",
    "vscode-file://vscode-app",
]
"""Origins of pages that no web server gives out."""


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("https://App.Example", "https://app.example"),
        ("HTTPS://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        *((origin, origin) for origin in APPS),
        ("NULL", "null"),
        ("Capacitor://LocalHost", "capacitor://localhost"),
    ],
)
def test_origins_are_kept_as_browsers_write_them(written: str, normal: str) -> None:
    assert checks.normal_origin(written) == normal
    assert checks.origin(normal) is None


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "",
        "app.example",
        "https://a/",
        "https://a?x",
        "https://a#x",
        "https://u@a",
        "https://*.a",
        "https://.",
        "https://-",
        "https://a:0",
        "https://a:65536",
        "null ",
        "nullx",
        "file:",
        "file:///",
        "file:///home/page.html",
        "capacitor://",
        "capacitor://localhost/",
        "chrome-extension://*",
        "chrome-extension://abc/page.html",
        "app://a b",
        "app://u@a",
        "app://a?x",
        "app://a:port",
        "1app://a",
        "://a",
        "data:text/html,x",
    ],
)
def test_a_value_that_is_no_origin_is_a_fault(origin: str) -> None:
    assert checks.origin(checks.normal_origin(origin)) is not None


@pytest.mark.parametrize(
    ("written", "normal"),
    [("Relay.Example.", "relay.example"), ("[::1]", "::1"), ("10.0.0.7", "10.0.0.7")],
)
def test_hosts_are_kept_without_case_brackets_and_last_dot(written: str, normal: str) -> None:
    assert checks.normal_host(written) == normal
    assert checks.host(normal) is None


@pytest.mark.parametrize("host", ["", "a:80", "a/b", "*.a", "a..b", "[::1", "a b", "x" * 254])
def test_a_value_that_is_no_host_is_a_fault(host: str) -> None:
    assert checks.host(checks.normal_host(host)) is not None


@pytest.mark.parametrize("path", ["", "/relay", "/a/b.c", "/..."])
def test_a_good_base_path_has_no_fault(path: str) -> None:
    assert checks.base_path(path) is None


@pytest.mark.parametrize("path", ["/", "a", "/a/", "//a", "/a//b", "/..", "/a/../b", "/.", "/a b"])
def test_a_value_that_is_no_base_path_is_a_fault(path: str) -> None:
    assert checks.base_path(path) is not None


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a b", "a/b", "../a", "ä", "a\n"])
def test_a_value_that_is_no_name_is_a_fault(name: str) -> None:
    assert checks.name(name) is not None


@pytest.mark.parametrize("key", ["sk-abc", "AIzaSyAbc", "sk_abc", "", "1A", "A B"])
def test_a_key_where_the_name_of_a_variable_belongs_is_not_repeated(key: str) -> None:
    fault = checks.variable(key)
    assert fault is not None
    assert not key or key not in fault


def test_a_wrong_value_is_shown_as_one_short_line() -> None:
    assert checks.shown("a\nb") == '"a?b"'
    assert checks.shown("x" * 61) == f'"{"x" * 60}…"'
