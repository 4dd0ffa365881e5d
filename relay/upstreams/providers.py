"""
How the kinds of upstream differ: in URL, query, credential, first event and error codes. Each kind
is a L{Provider}, a row of one table.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed; the guides to the same of
Azure OpenAI, xAI and Gemini.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from relay.upstreams.endpoints import BETA
from relay.upstreams.meanings import AZURE, COMMON, OPENAI, Meaning
from relay.upstreams.posts import POSTS

GEMINI = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
"""The path of the Gemini Live API, for a downstream that does not ask by Google's own paths."""


@frozen(kw_only=True)
class Provider:
    """
    How one kind of upstream differs.

    @ivar url: its URL, if that is the same for all.
    @ivar root: the path of its base, for a URL that has no path.
    @ivar endpoints: names of the endpoints that it has (see L{relay.upstreams.endpoints}
        and L{relay.upstreams.posts}).
    @ivar lent: those of them that it serves in its own form, so only if no other upstream does.
    @ivar paths: its own paths of endpoints behind its base, by the endpoint's name, where they
        are not the table's.
    @ivar credential: the header that carries the key, and what stands before the key in it.
    @ivar shaped: whether its events have OpenAI's form, C{error} among them.
    @ivar first_event: whether it sends the first event that the endpoint's row names, so that the
        hold waits for it.
    @ivar query: names of downstream's query parameters that go upstream besides the endpoint's;
        L{None} for all.
    @ivar strict: whether it refuses a request that has more than one of L{Endpoint.one_of}.
    @ivar model: the name that the parameter C{model} has upstream.
    @ivar sample: the name of a model that it has, for a check.
    @ivar headers: names of the downstream headers that go upstream, in lower case.
    @ivar errors: what its own error codes mean (see L{relay.upstreams.meanings}).
    """

    url: str | None = None
    root: str = ""
    endpoints: frozenset[str] = frozenset({"realtime"})
    lent: frozenset[str] = frozenset()
    paths: Mapping[str, str] = field(factory=dict)
    credential: tuple[str, str] = ("Authorization", "Bearer ")
    shaped: bool
    first_event: bool
    query: frozenset[str] | None = frozenset()
    strict: bool = False
    model: str = "model"
    sample: str = "gpt-realtime"
    headers: frozenset[str] = frozenset()
    errors: Mapping[str, Meaning] = COMMON


_OPENAI = Provider(
    url="wss://api.openai.com/v1/realtime",
    root="/v1",
    endpoints=frozenset({"realtime", "translations", "live", "live-attach", "live-fork", *POSTS}),
    shaped=True,
    first_event=True,
    strict=True,
    headers=frozenset({"openai-safety-identifier", "openai-service-tier"}),
    errors=OPENAI,
)

_AZURE = evolve(
    _OPENAI,
    url=None,
    root="/openai/v1",
    credential=("api-key", ""),
    strict=False,
    headers=frozenset(),
    errors=AZURE,
)

PROVIDERS: Mapping[str, Provider] = {
    "openai": _OPENAI,
    "azure": _AZURE,
    "azure-preview": evolve(
        _AZURE,
        root="/openai",
        endpoints=frozenset({"realtime"}),
        model="deployment",
        headers=frozenset({BETA}),
    ),
    # It may send conversation.created first: any event but an error opens the session.
    "xai": evolve(
        _OPENAI,
        url="wss://api.x.ai/v1/realtime",
        endpoints=frozenset({"realtime"}),
        sample="grok-voice-latest",
        query=frozenset({"agent_id", "conversation_id", "reasoning.effort"}),
        strict=False,
        headers=frozenset(),
    ),
    # Not OpenAI's protocol: it sends nothing until the client's setup, which names the model.
    "gemini": Provider(
        url="wss://generativelanguage.googleapis.com" + GEMINI,
        endpoints=frozenset({"gemini", "realtime"}),
        lent=frozenset({"realtime"}),
        paths={"realtime": GEMINI},
        credential=("x-goog-api-key", ""),
        sample="gemini-3.1-flash-live-preview",
        shaped=False,
        first_event=False,
    ),
    # Its URL is whole: nothing is put behind it.
    "generic": Provider(paths={"realtime": ""}, shaped=False, first_event=False, query=None),
}
"""The table: a name that the setting C{provider} may have to what it means."""
