"""Which upstream goes by which proxy, what the proxy is asked, and what its failures mean."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.upstreams.proxies import (
    Proxy,
    declined,
    dropped,
    fault_of_setting,
    malformed,
    proxy_for,
    unreachable,
)

OPENAI = "wss://api.openai.com/v1/realtime"
PROXY = Proxy("proxy.example", 3128)
ENV = {"HTTPS_PROXY": "http://proxy.example:3128"}


# What is a proxy


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example:3128", PROXY),
        ("http://proxy.example:3128/", PROXY),
        ("HTTP://Proxy.Example", Proxy("proxy.example", 80)),
        ("http://192.0.2.1:1", Proxy("192.0.2.1", 1)),
        ("http://[2001:db8::1]:3128", Proxy("2001:db8::1", 3128)),
        ("http://user:hunter2@proxy.example", Proxy("proxy.example", 80, "user:hunter2")),
        ("http://user@proxy.example", Proxy("proxy.example", 80, "user:")),
        ("http://a%40b:%2F%C3%BC@proxy.example", Proxy("proxy.example", 80, "a@b:/ü")),
    ],
)
def test_the_url_of_a_proxy_is_read(url: str, proxy: Proxy) -> None:
    assert Proxy.from_url(url) == proxy


NO_PROXIES = [
    "",
    "proxy.example:3128",
    "https://proxy.example",
    "socks5://proxy.example",
    "http://",
    "http://proxy.example:0",
    "http://proxy.example:65536",
    "http://proxy.example/path",
    "http://proxy.example?query",
    "http://proxy.example#part",
    "http://proxy example",
    "http://proxy.example\n",
    "http://hunter2@",
]


@pytest.mark.parametrize("url", NO_PROXIES)
def test_a_wrong_url_of_a_proxy_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must be http://HOST\[:PORT\]$"):
        Proxy.from_url(url)


@given(st.text())
def test_any_text_is_a_proxy_or_a_fault(text: str) -> None:
    for url in (text, f"http://{text}"):
        with suppress(ValueError):
            proxy = Proxy.from_url(url)
            assert proxy.host
            assert proxy.request("h", 1).endswith(b"\r\n\r\n")


def test_a_proxys_password_does_not_show() -> None:
    proxy = Proxy.from_url("http://user:hunter2@proxy.example")
    assert "hunter2" not in repr(proxy)
    assert proxy.secrets == ("user:hunter2", "hunter2")
    assert PROXY.secrets == ()


# What it is asked


def test_a_proxy_is_asked_for_a_tunnel() -> None:
    assert PROXY.request("api.openai.com", 443) == (
        b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n"
    )


def test_a_tunnel_to_an_ipv6_address_has_brackets() -> None:
    assert PROXY.request("2001:db8::1", 443).startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n")


def test_a_proxys_user_and_password_are_sent() -> None:
    request = Proxy("proxy.example", 80, "user:ü").request("h", 1)
    basic = b64encode("user:ü".encode())
    assert request.endswith(b"\r\nProxy-Authorization: Basic " + basic + b"\r\n\r\n")


# Which one


def test_without_a_proxy_an_upstream_is_reached_directly() -> None:
    assert proxy_for(None, OPENAI, {}) is None
    assert proxy_for(None, OPENAI, {"HTTPS_PROXY": ""}) is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_environment_names_the_proxy(name: str) -> None:
    assert proxy_for(None, OPENAI, {name: "http://proxy.example:3128"}) == PROXY


def test_the_small_letters_go_first_even_when_empty() -> None:
    other = {"https_proxy": "http://other.example"}
    assert proxy_for(None, OPENAI, {**ENV, **other}) == Proxy("other.example")
    assert proxy_for(None, OPENAI, {**ENV, "https_proxy": ""}) is None


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_no_other_variable_names_a_proxy(name: str) -> None:
    assert proxy_for(None, OPENAI, {name: "http://proxy.example"}) is None


@pytest.mark.parametrize(
    "url",
    [
        "ws://realtime.example/v1/realtime",
        "wss://localhost/",
        "wss://api.localhost/",
        "wss://127.0.0.1:8443/",
        "wss://[::1]:8443/",
    ],
)
def test_the_environments_proxy_is_for_wss_to_other_machines_only(url: str) -> None:
    assert proxy_for(None, url, ENV) is None


@pytest.mark.parametrize(
    ("url", "exceptions"),
    [
        (OPENAI, "*"),
        (OPENAI, "api.openai.com"),
        (OPENAI, "api.openai.com:443"),
        (OPENAI, ".openai.com"),
        (OPENAI, "openai.com"),
        (OPENAI, "internal.example, OpenAI.com"),
        ("wss://192.0.2.1:8443/", "192.0.2.1"),
        ("wss://realtime.example:8443/", "realtime.example:8443"),
        ("wss://[2001:db8::1]/", "2001:db8::1"),
        ("wss://[2001:db8::1]:8443/", "[2001:db8::1]"),
        ("wss://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_an_exception_of_no_proxy_is_reached_directly(url: str, exceptions: str, name: str) -> None:
    assert proxy_for(None, url, {**ENV, name: exceptions}) is None


@pytest.mark.parametrize(
    "exceptions", ["", "pi.openai.com", "api.openai.com:8443", "openai.com.example", "443"]
)
def test_no_other_host_is_an_exception_of_no_proxy(exceptions: str) -> None:
    assert proxy_for(None, OPENAI, {**ENV, "NO_PROXY": exceptions}) == PROXY


def test_the_setting_proxy_overrides_the_environment() -> None:
    own = "http://own.example:1"
    assert proxy_for(own, OPENAI, {**ENV, "NO_PROXY": "*"}) == Proxy("own.example", 1)
    assert proxy_for(own, "ws://127.0.0.1:9000/", {}) == Proxy("own.example", 1)
    assert proxy_for("none", OPENAI, ENV) is None


@pytest.mark.parametrize("url", [url for url in NO_PROXIES if url])
def test_a_bad_proxy_variable_is_named_where_it_would_be_used(url: str) -> None:
    environ = {"https_proxy": url, "NO_PROXY": "realtime.example"}
    with pytest.raises(ValueError, match="must be") as caught:
        proxy_for(None, OPENAI, environ)
    assert str(caught.value) == (
        'https_proxy: must be http://HOST[:PORT]; proxy = "none" does without'
    )
    assert proxy_for(None, "wss://realtime.example/", environ) is None
    assert proxy_for("none", OPENAI, environ) is None


# What the setting may be


@pytest.mark.parametrize("value", ["none", "http://proxy.example", "http://[::1]:3128/"])
def test_a_good_setting_of_a_proxy_has_no_fault(value: str) -> None:
    assert fault_of_setting(value) is None


@pytest.mark.parametrize("value", [*NO_PROXIES[:-1], "None", "http://none:x"])
def test_a_bad_setting_of_a_proxy_is_a_fault(value: str) -> None:
    assert fault_of_setting(value) == 'must be http://HOST[:PORT] or "none"'


@pytest.mark.parametrize("user", ["user:hunter2", "hunter2", ""])
def test_a_proxys_password_in_the_file_is_a_fault(user: str) -> None:
    fault = fault_of_setting(f"http://{user}@proxy.example")
    assert fault == (
        "user and password do not belong in this file; put the whole URL in HTTPS_PROXY"
    )


# What its failures mean


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 429, 499])
def test_a_proxys_4xx_is_final(status: int) -> None:
    fault = declined(status)
    assert fault.error == f"HTTP {status}"
    assert (fault.refusal.code, fault.refusal.retryable) == ("upstream_connect_failed", False)
    assert f"proxy answered HTTP {status}; the relay's operator must" in fault.refusal.message


@pytest.mark.parametrize("status", [101, 302, 500, 502, 503, 504, 599])
def test_any_other_answer_of_a_proxy_may_change(status: int) -> None:
    fault = declined(status)
    assert (fault.refusal.code, fault.refusal.retryable) == ("upstream_connect_failed", True)
    assert f"proxy answered HTTP {status}; try again" in fault.refusal.message


def test_the_refusal_says_that_it_is_the_proxy() -> None:
    faults = [unreachable("gaierror"), dropped("ConnectionDone"), malformed(), declined(502)]
    assert [fault.error for fault in faults[:3]] == ["gaierror", "ConnectionDone", "no HTTP"]
    messages = {fault.refusal.message for fault in faults}
    assert len(messages) == len(faults)
    assert all("relay's proxy" in message for message in messages)
    assert all(fault.refusal.retryable for fault in faults)
