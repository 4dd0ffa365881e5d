"""What an embedder gets wrong is one exception that says what was wanted, and at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.testing import MemoryReactorClock
from twisted.web.resource import Resource

import relay
from relay import (
    InvalidValue,
    Limits,
    LogRecords,
    Metrics,
    Proxy,
    RelayError,
    RelayFactory,
    Settings,
    Upstream,
    refuse,
    use_monotonic_clock,
)
from relay.config.certificates import identity
from relay.config.keys import KeyFile
from relay.config.load import load

URL = "ws://127.0.0.1:9000/v1/realtime"
FAR = "ws://upstream.example/v1/realtime"
KEY = "Zq7canaryK3Y"

BROKEN_KEYS = [
    f"{KEY}\r\nInjected: yes",
    f"{KEY}\n",
    f"{KEY} two",
    f"{KEY}\x00",
    f"{KEY}\x7f",
    f"{KEY}\u2028",
    f"{KEY}é",
    f"{KEY}\udcff",
    KEY.encode(),
    "",
    7,
]


def factory(*upstreams: Any, **options: Any) -> RelayFactory:
    named: dict[str, Any] = {"reactor": MemoryReactorClock(), **options}
    return RelayFactory([Upstream(URL)] if not upstreams else upstreams[0], **named)


@pytest.mark.parametrize("key", BROKEN_KEYS)
def test_a_credential_that_no_header_can_carry_is_an_error(key: Any) -> None:
    with pytest.raises(InvalidValue, match="an upstream's credential must be a string") as caught:
        Upstream(URL, credential=key)
    assert KEY not in str(caught.value)
    assert "Injected" not in str(caught.value)


@pytest.mark.parametrize("key", [KEY, lambda: KEY], ids=["string", "callable"])
@pytest.mark.parametrize(
    ("url", "more"), [(FAR, {}), (URL, {"proxy": Proxy("proxy.example", 3128)})]
)
def test_a_credential_does_not_cross_a_network_in_clear(
    url: str, more: dict[str, Any], key: Any
) -> None:
    with pytest.raises(InvalidValue, match="must not cross a network in clear") as caught:
        Upstream(url, credential=key, **more)
    assert KEY not in str(caught.value)
    Upstream(url, **more)
    Upstream(FAR.replace("ws:", "wss:"), credential=key, **more)


UPSTREAMS: list[tuple[dict[str, Any], str]] = [
    ({"url": "http://upstream.example/"}, "URL must be ws://HOST"),
    ({"url": b"ws://127.0.0.1/"}, "url of an upstream must be a string, not a bytes"),
    ({"url": None}, "url of an upstream must be a string, not None"),
    ({"name": ""}, "name of an upstream must be a printable string, not empty"),
    ({"name": "a\nb"}, "name of an upstream must be a printable"),
    ({"name": b"a"}, "name of an upstream must be a printable"),
    ({"provider": "acme"}, "provider of an upstream must be one of openai, azure"),
    ({"provider": ["openai"]}, "provider of an upstream must be one of openai, azure"),
    ({"weight": 0}, "weight of an upstream must be a whole number, at least 1"),
    ({"weight": True}, "weight of an upstream"),
    ({"weight": 1.5}, "weight of an upstream"),
    ({"priority": "first"}, "priority of an upstream must be a whole number, not a str"),
    ({"max_sessions": 0}, "max_sessions of an upstream must be a whole number, at least 1"),
    ({"models": ["gpt-realtime"]}, "models of an upstream must be a mapping"),
    ({"models": {"gpt-realtime": ""}}, "models of an upstream must be a mapping"),
    ({"breaker": "off"}, "breaker of an upstream must be a boolean, not a str"),
    ({"proxy": "http://proxy:3128"}, "proxy of an upstream must be a relay.Proxy, not a str"),
    ({"ca_file": b"ca.pem"}, "ca_file of an upstream must be the path of a PEM file"),
    ({"client_certificate": 3}, "client_certificate of an upstream must be the path of a PEM"),
]


@pytest.mark.parametrize(("wrong", "said"), UPSTREAMS, ids=str)
def test_a_wrong_upstream_says_what_was_wanted(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        Upstream(**{"url": URL, **wrong})


def test_a_path_is_accepted_as_a_file() -> None:
    upstream = Upstream(URL, ca_file=Path("ca.pem"), client_certificate=Path("own.pem"))
    assert (upstream.ca_file, upstream.client_certificate) == ("ca.pem", "own.pem")


class Deaf:
    """It has a listener's methods, and is none."""

    opened = refused = event = closed = print


FACTORIES: list[tuple[Callable[[], Any], str]] = [
    (lambda: factory([]), "a relay needs an upstream"),
    (lambda: factory([Upstream(URL)] * 2), "names of their own"),
    (lambda: factory(Upstream(URL)), "upstreams must be a list of relay.Upstream, not an Upstream"),
    (lambda: factory(URL), "upstreams must be a list of relay.Upstream, not a str"),
    (lambda: factory([URL]), "upstreams must be a list of relay.Upstream, but #1 is a str"),
    (lambda: factory(settings={"hold_seconds": 5}), "settings must be a relay.Settings, or None"),
    (lambda: factory(admit=True), "admit must be a callable that takes a relay.Request"),
    (lambda: factory(listeners=LogRecords()), "must be a list of relay.RelayListener, not a LogR"),
    (
        lambda: factory(listeners=[LogRecords(), Deaf()]),
        "RelayListener, but #2 is a Deaf",
    ),
    (lambda: factory(site=Resource()), "site must be a factory such as a twisted.web.server.Site"),
    (lambda: factory().admin({}), "metrics must be a relay.Metrics, not a dict"),  # type: ignore[arg-type]
    (lambda: factory().admin(Metrics(), True), "drain must be a callable"),  # type: ignore[arg-type]
    (lambda: factory().drain(True), "shut must be a callable"),  # type: ignore[arg-type]
    (lambda: Settings(limits={"sessions": 1}), "limits: must be a Limits, not a dict"),  # type: ignore[arg-type]
    (lambda: Settings(limits=None), "limits: must be a Limits, not None"),  # type: ignore[arg-type]
    (lambda: Settings(hosts=["a"]), "hosts: must be a tuple, not a list"),  # type: ignore[arg-type]
    (lambda: Settings(origins="x"), "origins: must be a list .in Python a tuple., not a string"),  # type: ignore[arg-type]
    (lambda: Settings(hosts=(b"a",)), "hosts: #1: must be a string"),  # type: ignore[arg-type]
    (lambda: Settings(upstream=(Upstream(URL),)), "upstream: must be a tuple"),  # type: ignore[arg-type]
    (lambda: Settings(listener="tcp:1"), "listener: must be a tuple"),  # type: ignore[arg-type]
    (lambda: Settings(hold_seconds="5"), "hold_seconds: must be a number, not a string"),  # type: ignore[arg-type]
    (lambda: Settings(drain_seconds=1, drain_spread_seconds=2), "drain_spread_seconds: must be"),
    (lambda: Limits(sessions=0), "sessions: must be at least 1"),
    (lambda: Proxy("proxy.example:3128"), "host of a proxy must be a host name or an address"),
    (lambda: Proxy("proxy.example", 0), "port of a proxy must be a whole number, 1 to 65535"),
    (lambda: Proxy("proxy.example", 1, "user"), "credentials of a proxy must be a string, USER:P"),
    (lambda: Proxy.from_url("https://proxy.example"), "must be http://HOST"),
    (lambda: refuse("no_such_code"), "code of a refusal must be one of"),  # type: ignore[arg-type]
    (lambda: refuse("unauthorized", status=200), "status of a refusal"),
]


@pytest.mark.parametrize(("make", "said"), FACTORIES, ids=[said for _, said in FACTORIES])
def test_a_wrong_value_or_type_says_what_was_wanted(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(RelayError, match=said) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


class Busy(ReactorBase):
    """Something waits for it already."""

    def installWaker(self) -> None:
        """Nothing wakes it."""


def busy_clock() -> None:
    reactor = Busy()
    reactor.callLater(1, print)
    use_monotonic_clock(reactor)


@pytest.mark.parametrize(
    "fail",
    [
        busy_clock,
        lambda: load("nonsense"),
        lambda: KeyFile(Path("/nowhere/key"), "key"),
        lambda: identity("/nowhere/own.pem"),
        lambda: factory([Upstream("wss://a_b.example/")]),
        lambda: factory([Upstream("wss://upstream.example/", ca_file="/nowhere/ca.pem")]),
    ],
)
def test_each_other_misuse_is_a_relay_error(fail: Callable[[], Any]) -> None:
    with pytest.raises(RelayError):
        fail()


def exceptions() -> Iterator[type]:
    for module in walk_packages(relay.__path__, "relay."):
        for found in vars(import_module(module.name)).values():
            if inspect.isclass(found) and issubclass(found, Exception):
                yield found


INTERNAL = {
    *("Abandoned", "HandshakeDenied", "Malformed", "MalformedAnswer", "NoThread", "NotConnected"),
    *("OverLimit", "ProxyFault", "Refused", "Denied", "NotStrict", "Rejected"),
    *("CannotStart", "ClientError"),  # the daemon's and the simulator's
    *("NoForm", "NoOffer", "Unreadable"),  # of what is posted
    "NoAnswer",  # of a worker
}
"""Those that an embedder never meets: each is caught where it comes from."""


def test_every_exception_that_leaves_the_relay_is_a_relay_error() -> None:
    own = {each for each in exceptions() if each.__module__.startswith("relay.")}
    strangers = {each.__name__ for each in own if not issubclass(each, RelayError)}
    assert strangers == INTERNAL
