"""What an upstream is: where it is, what it serves, and what is asked of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote

from attrs import Attribute, evolve, field, frozen
from attrs.validators import optional

from relay.rules.addresses import DEFAULT_PORTS, is_loopback, split_url
from relay.rules.errors import InvalidValue, wanted
from relay.upstreams.call_ids import unmarked
from relay.upstreams.credential import CREDENTIAL, is_credential
from relay.upstreams.endpoints import BETA, ENDPOINTS, REALTIME, Endpoint, Query, Route, base_of
from relay.upstreams.passing import (
    fault_of_header,
    fault_of_parameter,
    fault_of_subprotocol,
    is_secret,
)
from relay.upstreams.posts import POSTS
from relay.upstreams.providers import PROVIDERS, Provider
from relay.upstreams.proxies import Proxy

Credential = str | Callable[[], str | Awaitable[str]] | None
"""
An upstream's key; or a callable that returns one, or a Deferred of one, for each attempt; or none.
"""


def _split(url: str) -> SplitResult:
    # None of these messages repeats the URL: there may be a password in it.
    parts = split_url(url)
    if parts is None or parts.scheme not in ("ws", "wss"):
        raise InvalidValue(
            "an upstream's URL must be ws://HOST[:PORT]/PATH, or wss:// so, in visible ASCII"
        )
    if parts.fragment or "@" in parts.netloc:
        raise InvalidValue("an upstream's URL must have no fragment or user")
    if any(is_secret(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise InvalidValue("an upstream's URL must have no credential in its query")
    return parts


def is_exposed(url: SplitResult, *, proxied: bool) -> bool:
    """
    Whether what is sent to this URL crosses a network in clear. By a proxy, even a loopback address
    is another machine's.
    """
    return url.scheme == "ws" and (proxied or not is_loopback(url.hostname or ""))


def _of(kind: type, what: str) -> Callable[[object, Attribute[Any], object], None]:
    """A validator of fields whose type says all."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        # A boolean is an integer to Python, and never meant for one.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise wanted(f"{attribute.name} of an upstream must be {what}", value)

    return check


def _at_least_one(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidValue(f"{attribute.name} of an upstream must be a whole number, at least 1")


def _path(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise wanted(f"{attribute.name} of an upstream must be the path of a PEM file", value)


def _as_text(path: str | PathLike[str] | None) -> str | None:
    return fspath(path) if isinstance(path, PathLike) else path


def _label(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidValue(f"{attribute.name} of an upstream must be a printable string, not empty")


def _sendable(_: object, __: Attribute[Any], value: object) -> None:
    if not (is_credential(value) or callable(value)):
        raise InvalidValue(
            f"an upstream's credential must be a string of {CREDENTIAL};"
            " or a callable that returns one; or None"
        )


def _names(_: object, __: Attribute[Any], value: object) -> None:
    is_table = isinstance(value, Mapping) and all(
        isinstance(name, str) and name for pair in value.items() for name in pair
    )
    if not is_table:
        raise InvalidValue("models of an upstream must be a mapping of names to names")


def _listed(fault: Callable[[str], str | None]) -> Any:
    """A field of strings; C{fault} tells what is wrong with one."""

    def check(_: object, attribute: Attribute[Any], values: tuple[object, ...]) -> None:
        for value in values:
            if not isinstance(value, str):
                raise wanted(f"{attribute.name} of an upstream must be strings", value)
            if found := fault(value):
                raise InvalidValue(f"{attribute.name} of an upstream: {found}")

    return field(default=(), kw_only=True, converter=_as_names, validator=check)


def _as_names(values: Iterable[str]) -> tuple[str, ...]:
    # A string would else be taken for the list of its letters.
    return (values,) if isinstance(values, str) else tuple(values)


@frozen
class Upstream:
    """
    One Realtime service to connect to.

    @ivar url: a C{ws://} or C{wss://} URL. Downstream cannot override the parameters in its query.
    @ivar name: what records, metrics and refusals call it; unique in a relay.
    @ivar provider: a key of L{PROVIDERS}.
    @ivar credential: see L{Credential}; sent as the provider wants it.
    @ivar ca_file: PEM file of the authorities to trust instead of the system's.
    @ivar priority: upstreams with the lowest are tried first.
    @ivar weight: among upstreams of one priority, one with twice the weight is first twice as
        often; at least 1.
    @ivar models: the models that it serves, each with its name there. If empty, it serves every
        model under the name that the client uses.
    @ivar max_sessions: most connections to it at once, those of holds included; L{None} for any
        number.
    @ivar breaker: whether it is not tried for a while after it fails (see
        L{relay.upstreams.breaker}).
    @ivar proxy: the proxy by which it is reached; L{None} for none.
    @ivar client_certificate: PEM file of the certificate to show it, its chain and its key.
    @ivar first_event: whether it sends an event of OpenAI's form before its client does; L{None}
        for what its provider does.
    @ivar query: names of query parameters of downstream that go upstream besides the endpoint's.
    @ivar headers: names of headers of downstream that go upstream, none of them a credential's.
    @ivar subprotocols: subprotocols of downstream that go upstream besides OpenAI's.
    @ivar traits: how this kind of upstream differs.
    @ivar secure: whether the connection is by TLS.
    @ivar host: the host name or address, without brackets.
    @ivar port: the TCP port.
    @raise InvalidValue: for a value or a type that is none of these, and for a credential with a
        C{ws://} URL to another host than loopback, or by a proxy. The text never repeats the
        credential or the URL.
    """

    url: str = field(validator=_of(str, "a string"))
    name: str = field(default="openai", validator=_label)
    provider: str = field(default="openai")
    credential: Credential = field(default=None, repr=False, validator=optional(_sendable))
    ca_file: str | None = field(default=None, converter=_as_text, validator=optional(_path))
    priority: int = field(default=0, kw_only=True, validator=_of(int, "a whole number"))
    weight: int = field(default=1, kw_only=True, validator=_at_least_one)
    models: Mapping[str, str] = field(factory=dict, kw_only=True, hash=False, validator=_names)
    max_sessions: int | None = field(default=None, kw_only=True, validator=optional(_at_least_one))
    breaker: bool = field(default=True, kw_only=True, validator=_of(bool, "a boolean"))
    proxy: Proxy | None = field(
        default=None, kw_only=True, validator=optional(_of(Proxy, "a relay.Proxy"))
    )
    client_certificate: str | None = field(
        default=None, kw_only=True, converter=_as_text, validator=optional(_path)
    )
    first_event: bool | None = field(
        default=None, kw_only=True, validator=optional(_of(bool, "a boolean"))
    )
    query: tuple[str, ...] = _listed(fault_of_parameter)
    headers: tuple[str, ...] = _listed(fault_of_header)
    subprotocols: tuple[str, ...] = _listed(fault_of_subprotocol)
    # Computed once, because each hold asks for all of them.
    traits: Provider = field(init=False, repr=False, eq=False)
    secure: bool = field(init=False, repr=False, eq=False)
    host: str = field(init=False, repr=False, eq=False)
    port: int = field(init=False, repr=False, eq=False)
    _base: str = field(init=False, repr=False, eq=False)
    _paths: Mapping[str, str] = field(init=False, repr=False, eq=False)
    _fixed: Mapping[str, str] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        parts = _split(self.url)
        if self.credential is not None and is_exposed(parts, proxied=self.proxy is not None):
            raise InvalidValue(
                "an upstream's credential must not cross a network in clear, as over ws:// to"
                " another host than loopback, or by a proxy; use wss://"
            )
        secure = parts.scheme == "wss"
        put = partial(object.__setattr__, self)
        put("traits", self._own_traits(PROVIDERS[self.provider]))
        put("secure", secure)
        put("host", parts.hostname)
        put("port", parts.port or DEFAULT_PORTS[parts.scheme])
        every = {**ENDPOINTS, **POSTS}
        templates = {name: every[name].upstream for name in self.traits.endpoints}
        templates.update(self.traits.paths)
        base = base_of(parts.path, templates.values())
        put("_paths", templates)
        put("_base", base if parts.path.strip("/") else self.traits.root)
        put("_fixed", dict(parse_qsl(parts.query, keep_blank_values=True)))

    def _own_traits(self, of_kind: Provider) -> Provider:
        """The provider's traits, with what is said of this upstream."""
        first_event = of_kind.first_event if self.first_event is None else self.first_event
        return evolve(
            of_kind,
            shaped=of_kind.shaped or bool(self.first_event),
            first_event=first_event,
            query=None if of_kind.query is None else of_kind.query.union(self.query),
            headers=of_kind.headers.union(name.lower() for name in self.headers),
        )

    @provider.validator
    def _known(self, attribute: object, value: str) -> None:
        if not isinstance(value, str) or value not in PROVIDERS:
            raise InvalidValue(f"provider of an upstream must be one of {', '.join(PROVIDERS)}")

    def takes(self, endpoint: Endpoint, model: str | None) -> bool:
        """Whether a request for this endpoint and this model, or for none, is for this upstream."""
        return endpoint.name in self.traits.endpoints and (
            not self.models or model is None or model in self.models
        )

    def speaks_first(self, endpoint: Endpoint) -> bool:
        """Whether it sends an event before its client does."""
        return self.traits.first_event and endpoint.first_event is not None

    @property
    def exposed(self) -> bool:
        """Whether what is sent to it crosses a network in clear."""
        return is_exposed(_split(self.url), proxied=self.proxy is not None)

    @property
    def refuses_beta(self) -> bool:
        """Whether a downstream that speaks OpenAI's retired beta would not be understood."""
        return self.traits.shaped and BETA not in self.traits.headers

    @property
    def path(self) -> str:
        """The path of its Realtime API, which the URL need not say in whole."""
        return self._base + self._paths[REALTIME.name] or "/"

    def target(self, route: Route, query: Query) -> str:
        """
        The request target: the endpoint's path and the URL's query, and the downstream query
        parameters that go upstream, under the names that they have there.
        """
        endpoint = route.endpoint
        parts = {name: unmarked(part, self.name) for name, part in route.parts.items()}
        path = self._base + self._paths[endpoint.name].format(**parts)
        passed = [*self._fixed.items()]
        for name, value in self._passed(endpoint, route.named(query)):
            if name == "model":
                name, value = self.traits.model, self.models.get(value, value)
            if name == "call_id":
                value = unmarked(value, self.name)
            if name not in self._fixed:
                passed.append((name, value))
        said = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in passed)
        return (path or "/") + ("?" + said if said else "")

    def _passed(self, endpoint: Endpoint, query: Query) -> list[tuple[str, str]]:
        known = self.traits.query
        if known is None:
            return [(name, value) for name, value in query if not is_secret(name)]
        names = {name for name, _ in query}
        competing = [name for name in endpoint.one_of if name in names]
        losing = {*competing[1:]} - known if self.traits.strict else ()
        wanted = (endpoint.query | known).difference(losing)
        return [(name, value) for name, value in query if name in wanted]

    def request_headers(
        self,
        credential: str | None,
        downstream: Iterable[tuple[str, str]],
        granted: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, str]:
        """
        The headers of the upgrade request besides WebSocket's own.

        @param granted: what goes upstream whatever downstream sends.
        """
        allowed = self.traits.headers
        headers = {
            name.title(): value for name, value in downstream if name in allowed and value.isascii()
        }
        headers.update((name.title(), value) for name, value in granted.items())
        if credential:
            name, before = self.traits.credential
            headers[name] = before + credential
        return headers

    def secrets(self, credential: str | None) -> tuple[str, ...]:
        """Strings that must not show in text from the upstream or its proxy."""
        keys = (credential,) if credential else ()
        return keys + (self.proxy.secrets if self.proxy else ())
