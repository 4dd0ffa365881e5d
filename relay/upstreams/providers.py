"""
How the kinds of upstream differ: in URL, query, credential, first event and error codes. Each kind
is a L{Provider}, a row of one table.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed; the guides to the same of
Azure OpenAI, xAI and Gemini.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from relay.upstreams.meanings import AZURE, COMMON, OPENAI, Meaning


@frozen(kw_only=True)
class Provider:
    """
    How one kind of upstream differs.

    @ivar url: its URL, if that is the same for all.
    @ivar credential: the header that carries the key, and what stands before the key in it.
    @ivar first_event: whether the upstream speaks first, so that the hold waits for it.
    @ivar query: names of downstream's query parameters that go upstream; L{None} for all.
    @ivar model: the name that the parameter C{model} has upstream.
    @ivar headers: names of the downstream headers that go upstream, in lower case.
    @ivar errors: what its own error codes mean (see L{relay.upstreams.meanings}).
    """

    url: str | None = None
    credential: tuple[str, str] = ("Authorization", "Bearer ")
    first_event: bool
    query: frozenset[str] | None
    model: str = "model"
    headers: frozenset[str] = frozenset()
    errors: Mapping[str, Meaning] = COMMON


_OPENAI = Provider(
    url="wss://api.openai.com/v1/realtime",
    first_event=True,
    query=frozenset({"model", "intent", "call_id"}),
    headers=frozenset({"openai-safety-identifier"}),
    errors=OPENAI,
)

_AZURE = evolve(
    _OPENAI,
    url=None,
    credential=("api-key", ""),
    headers=frozenset(),
    errors=AZURE,
)

PROVIDERS: Mapping[str, Provider] = {
    "openai": _OPENAI,
    "azure": _AZURE,
    "azure-preview": evolve(_AZURE, model="deployment"),
    # It may send conversation.created first: any event but an error opens the session.
    "xai": evolve(
        _OPENAI,
        url="wss://api.x.ai/v1/realtime",
        query=frozenset({"model"}),
        headers=frozenset(),
    ),
    # Not OpenAI's protocol: it sends nothing until the client's setup, which names the model.
    "gemini": Provider(
        url="wss://generativelanguage.googleapis.com/ws/"
        "google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
        credential=("x-goog-api-key", ""),
        first_event=False,
        query=frozenset(),
    ),
    "generic": Provider(first_event=False, query=None),
}
"""The table: a name that the setting C{provider} may have to what it means."""

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


def is_secret(parameter: str) -> bool:
    """Whether a query parameter of this name carries a credential."""
    return parameter.lower().replace("_", "-") in SECRET_PARAMETERS
