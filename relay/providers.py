"""
What an upstream is, and how the kinds of upstream differ: URL, query, headers, first event, and
which errors are the caller's. The differences are data of the L{Provider}.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from urllib.parse import SplitResult, quote, urlsplit

from attrs import field, frozen

Credential = str | Callable[[], str | Awaitable[str]] | None
"""An upstream key, or what returns one (or a Deferred of one) for each attempt, or none."""


@frozen
class Provider:
    """
    How one kind of upstream differs.

    @ivar first_event: whether the upstream speaks first, so that the hold waits for it.
    @ivar query: names of the query parameters that go upstream; L{None} for all.
    @ivar headers: names of the downstream headers that go upstream, in lower case.
    @ivar caller_codes: error codes that are the caller's own mistake.
    """

    first_event: bool
    query: frozenset[str] | None
    headers: frozenset[str]
    caller_codes: frozenset[str]


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        first_event=True,
        query=frozenset({"model", "intent", "call_id"}),
        headers=frozenset({"openai-safety-identifier"}),
        caller_codes=frozenset(
            {
                "invalid_model",
                "missing_model",
                "model_not_found",
                "invalid_intent",
                "missing_intent",
                "invalid_call_id",
                "beta_api_shape_disabled",
            }
        ),
    ),
    "generic": Provider(
        first_event=False, query=None, headers=frozenset(), caller_codes=frozenset()
    ),
}

SECRET_PARAMETERS = frozenset(
    {
        "access-token",
        "api-key",
        "apikey",
        "authorization",
        "key",
        "subscription-key",
        "token",
    }
)
"""Query parameters that carry credentials, with C{-} for C{_}; they never go upstream."""


def _is_secret(parameter: str) -> bool:
    return parameter.lower().replace("_", "-") in SECRET_PARAMETERS


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    # None of these messages repeats the URL: there may be a password in it.
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:
        raise ValueError("an upstream's URL is ws://HOST[:PORT]/PATH, or wss:// so")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("an upstream's URL has no query, fragment or user")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("an upstream's URL is of printable ASCII characters without spaces")
    return parts


@frozen
class Upstream:
    """
    One Realtime service to connect to.

    @ivar url: a C{ws://} or C{wss://} URL without a query.
    @ivar name: what records and refusals call it.
    @ivar provider: a key of L{PROVIDERS}.
    @ivar credential: see L{Credential}; sent as a Bearer token.
    @ivar ca_file: PEM file of the authorities to trust instead of the system's.
    @ivar traits: how this kind of upstream differs.
    @ivar secure: whether the connection is by TLS.
    @ivar host: the host name or address, without brackets.
    @ivar port: the TCP port.
    @raise ValueError: for a URL or provider that is neither of these.
    """

    url: str = field()
    name: str = "openai"
    provider: str = field(default="openai")
    credential: Credential = field(default=None, repr=False)
    ca_file: str | None = None
    # Told once: each hold asks for all of them.
    traits: Provider = field(init=False, repr=False, eq=False)
    secure: bool = field(init=False, repr=False, eq=False)
    host: str = field(init=False, repr=False, eq=False)
    port: int = field(init=False, repr=False, eq=False)
    _path: str = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        parts = _split(self.url)
        secure = parts.scheme == "wss"
        put = partial(object.__setattr__, self)
        put("traits", PROVIDERS[self.provider])
        put("secure", secure)
        put("host", parts.hostname)
        put("port", parts.port or (443 if secure else 80))
        put("_path", parts.path or "/")

    @provider.validator
    def _known(self, attribute: object, value: str) -> None:
        if value not in PROVIDERS:
            raise ValueError(f"{value!r} is no provider; known are {', '.join(PROVIDERS)}")

    def target(self, query: Iterable[tuple[str, str]]) -> str:
        """The request target: the URL's path and those query parameters that go upstream."""
        known = self.traits.query
        passed = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in query
            if (name in known if known is not None else not _is_secret(name))
        )
        return self._path + ("?" + passed if passed else "")

    def headers(
        self, credential: str | None, downstream: Iterable[tuple[str, str]]
    ) -> dict[str, str]:
        """The headers of the upgrade request besides WebSocket's own."""
        allowed = self.traits.headers
        headers = {name.title(): value for name, value in downstream if name in allowed}
        if credential:
            headers["Authorization"] = f"Bearer {credential}"
        return headers
