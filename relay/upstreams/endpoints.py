"""
What a path means: which API a downstream asks for by it, and where an upstream has that API.

Source: the packages C{openai} 3.57 (C{resources/realtime}, C{resources/live}, C{lib/azure}) and
C{google-genai} 3.6 (C{live}) for Python, and C{openai} 7.57 (C{realtime/internal-base}) for Node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from attrs import field, frozen

from relay.rules.session_kinds import SessionKind

Query = Sequence[tuple[str, str]]
"""Query parameters, decoded, in their order."""

LONGEST_SHOWN = 100
"""Characters of an unknown path that a message repeats."""

BETA = "openai-beta"
"""The header by which a downstream asks for the form of events that OpenAI has retired."""

# It goes upstream as it came. So it is no "..", however that is written, and it hides no "/".
_PART = r"(?![.]|%2[eE])(?:[A-Za-z0-9._~:-]|%(?!2[fF]|5[cC]|[01])[0-9A-Fa-f]{2})+"

_GOOGLE = "/ws/google.ai.generativelanguage.{version}.GenerativeService.Bidi{method}"


@frozen
class EndpointPath:
    """
    One path by which downstream asks for an endpoint.

    @ivar template: the path; a name in braces stands for one segment, or for a part of one.
    @ivar names: query parameters that have another name there, to their names at OpenAI.
    @ivar headers: headers, in lower case, that carry downstream's credential there, besides
        C{Authorization} and C{api-key}.
    @ivar parameters: query parameters that do. Browsers cannot set headers.
    """

    template: str
    names: Mapping[str, str] = field(factory=dict)
    headers: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


AZURE = ("api-key",)
"""The query parameter of an ephemeral secret by Azure's paths."""


@frozen(kw_only=True)
class Endpoint:
    """
    One API.

    @ivar name: what settings, records and C{Provider.endpoints} call it.
    @ivar kind: the kind of session that it opens, if no parameter asks for another.
    @ivar also: other kinds that it opens, if the body of the request asks for one.
    @ivar paths: how downstream asks for it; the first is OpenAI's, or its provider's own.
    @ivar upstream: its path behind an upstream's base.
    @ivar first_event: the event that upstream sends first, so that the hold waits for it; L{None}
        if upstream is silent until its client speaks.
    @ivar last_event: the event that says that the session has ended; L{None} without one.
    @ivar query: names of the query parameters that go upstream.
    @ivar posted: whether C{POST} to its path asks for something else, which is no WebSocket.
    @ivar one_of: parameters of which a request has one. If it has more, the first of these wins at
        an upstream that refuses several (C{Provider.strict}).
    """

    name: str
    kind: SessionKind
    paths: tuple[EndpointPath, ...]
    upstream: str
    first_event: str | None = None
    last_event: str | None = None
    query: frozenset[str] = frozenset()
    one_of: tuple[str, ...] = ()
    posted: bool = False
    also: frozenset[SessionKind] = frozenset()


REALTIME = Endpoint(
    name="realtime",
    kind="realtime",
    paths=(
        EndpointPath("/v1/realtime"),
        EndpointPath("/openai/v1/realtime", {}, parameters=AZURE),
        EndpointPath("/openai/realtime", {"deployment": "model"}, parameters=AZURE),
    ),
    upstream="/realtime",
    first_event="session.created",
    query=frozenset({"model", "intent", "call_id"}),
    one_of=("call_id", "intent", "model"),
)

_ALL = (
    REALTIME,
    Endpoint(
        name="translations",
        kind="translation",
        paths=(
            EndpointPath("/v1/realtime/translations"),
            EndpointPath("/openai/v1/realtime/translations", {}, parameters=AZURE),
            EndpointPath(
                "/openai/realtime/translations", {"deployment": "model"}, parameters=AZURE
            ),
        ),
        upstream="/realtime/translations",
        first_event="session.created",
        last_event="session.closed",
        query=frozenset({"model"}),
    ),
    Endpoint(
        name="live",
        kind="live",
        paths=(
            EndpointPath("/v1/live/sessions"),
            EndpointPath("/openai/v1/live/sessions", {}, parameters=AZURE),
        ),
        upstream="/live/sessions",
        posted=True,
        last_event="session.closed",
    ),
    Endpoint(
        name="live-attach",
        kind="sideband",
        paths=(
            EndpointPath("/v1/live/sessions/{id}/attach"),
            EndpointPath("/openai/v1/live/sessions/{id}/attach", {}, parameters=AZURE),
        ),
        upstream="/live/sessions/{id}/attach",
        query=frozenset({"graceful_close"}),
        last_event="session.closed",
    ),
    Endpoint(
        name="live-fork",
        kind="sideband",
        paths=(
            EndpointPath("/v1/live/sessions/{id}/fork"),
            EndpointPath("/openai/v1/live/sessions/{id}/fork", {}, parameters=AZURE),
        ),
        upstream="/live/sessions/{id}/fork",
        posted=True,
        last_event="session.closed",
    ),
    Endpoint(
        name="gemini",
        kind="gemini",
        paths=(
            EndpointPath(_GOOGLE, headers=("x-goog-api-key",), parameters=("key", "access_token")),
        ),
        upstream=_GOOGLE,
    ),
)

ENDPOINTS: Mapping[str, Endpoint] = {endpoint.name: endpoint for endpoint in _ALL}
"""The table, by name."""


@frozen
class Route:
    """
    What one request asks for by its path.

    @ivar endpoint: the API that it asks for.
    @ivar path: the row by which it asks.
    @ivar parts: what stands for each name in the row's braces.
    """

    endpoint: Endpoint
    path: EndpointPath
    parts: Mapping[str, str] = field(factory=dict, hash=False)

    def named(self, query: Query) -> list[tuple[str, str]]:
        """The query parameters by their names at OpenAI."""
        names = self.path.names
        return [(names.get(name, name), value) for name, value in query]

    def kind(self, query: Query) -> SessionKind:
        """The kind of session that is asked for."""
        asked = {name: value for name, value in self.named(query) if name in self.endpoint.query}
        if "call_id" in asked:
            return "sideband"
        return "transcription" if asked.get("intent") == "transcription" else self.endpoint.kind

    def twice(self, query: Query) -> str | None:
        """A parameter that goes upstream and has more than one value; L{None} if there is none."""
        names = [name for name, _ in self.named(query) if name in self.endpoint.query]
        return next((name for name in names if names.count(name) > 1), None)


def pattern(template: str) -> re.Pattern[str]:
    """What matches a template, with a group for each name in braces."""
    literal = re.split(r"\{(\w+)\}", template)
    parts = [
        rf"(?P<{part}>{_PART})" if at % 2 else re.escape(part) for at, part in enumerate(literal)
    ]
    return re.compile("".join(parts))


_ROWS = [(pattern(p.template), endpoint, p) for endpoint in _ALL for p in endpoint.paths]


def normal(path: str) -> str:
    """The path without doubled slashes, as a base URL with a slash at its end makes, or a last."""
    return re.sub("/{2,}", "/", path).rstrip("/") or "/"


@lru_cache(256)
def route_of(path: str) -> Route | None:
    """The route of a path below the base path; L{None} if no endpoint has it."""
    path = normal(path)
    for matching, endpoint, row in _ROWS:
        if found := matching.fullmatch(path):
            return Route(endpoint, row, found.groupdict())
    return None


def base_of(path: str, templates: Iterable[str]) -> str:
    """The path of a base, of which one of these templates may be said too."""
    path = path.rstrip("/")
    for template in sorted(filter(None, templates), key=len, reverse=True):
        if found := re.search(pattern(template).pattern + "$", path):
            return path[: found.start()]
    return path


class Served:
    """
    What a relay serves, and where.

    @param endpoints: names of the endpoints that some upstream has.
    @ivar base_path: what stands before every path.
    """

    def __init__(self, endpoints: Iterable[str], base_path: str) -> None:
        wanted = self._names = set(endpoints)
        self._endpoints = [endpoint for endpoint in _ALL if endpoint.name in wanted]
        self.base_path = base_path

    def route(self, path: str, method: str = "GET") -> Route | None:
        """The route of a whole path; L{None} if no WebSocket is served there."""
        path = normal(path)
        if not path.startswith(self.base_path):
            return None
        route = route_of(path[len(self.base_path) :])
        if route is None or route.endpoint not in self._endpoints:
            return None
        return None if method == "POST" and route.endpoint.posted else route

    def has(self, endpoint: Endpoint) -> bool:
        """Whether some upstream has it."""
        return endpoint.name in self._names

    def nothing_at(self, path: str) -> str:
        """The sentence that says that nothing is served at this path, and what is served where."""
        places = ", ".join(
            f"{endpoint.name} at {self.base_path}{endpoint.paths[0].template}"
            for endpoint in self._endpoints
        )
        shown = path if len(path) <= LONGEST_SHOWN else path[:LONGEST_SHOWN] + "…"
        return f"Nothing is served at {shown}. WebSockets are served here: {places}."
