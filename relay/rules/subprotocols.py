"""
What the WebSocket subprotocols mean that downstream offers.

Browsers cannot set headers, so they send credentials as subprotocols. Whatever looks like one is
never sent upstream and never selected, and nothing goes upstream that no list names. A browser that
offered subprotocols fails the connection if none of them is selected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

REFUSALS_EVENT = "relay.refusals.event"
"""A client that offers this reads refusals in band."""

NOTICES = "relay.notices"
"""A client that offers this is told before its session ends."""

_OWN = (REFUSALS_EVENT, NOTICES)
"""Names that are the relay's, and mean nothing upstream."""

_KEYS = ("openai-insecure-api-key.", "xai-client-secret.")
"""What stands before a credential in the subprotocol that carries it."""

_ACCOUNT = ("openai-organization.", "openai-project.")
_PASSED = ("realtime",)
_MARKERS = "openai-agents-sdk."

_WORDS = re.compile(
    r"(?:^|[._-])(?:api-?key|auth|authorization|bearer|credential|jwt|key|passw(?:or)?d|secret"
    r"|token)s?(?:[._=-]|$)|(?:^|[.])(?:sk|ek|pk|xai)[-_]|(?:^|[.])(?:AIza|eyJ)",
    re.IGNORECASE,
)
_LONG = re.compile(r"(?=[^.]*[0-9])[^.]{20,}")


def looks_secret(name: str) -> bool:
    """
    Whether a subprotocol may carry a credential: by a word in it that announces one, by a key's
    usual beginning, or by a long part with digits in it.
    """
    if name.startswith((*_KEYS, *_ACCOUNT)) or _WORDS.search(name):
        return True
    return any(_LONG.fullmatch(part) for part in name.split("."))


def credential_in(offered: Sequence[str]) -> str | None:
    """The credential that a browser sent as a subprotocol; L{None} without one."""
    for name in offered:
        for before in _KEYS:
            if name.startswith(before):
                return name[len(before) :]
    return None


def for_upstream(offered: Sequence[str], listed: Sequence[str] = ()) -> list[str]:
    """The subprotocols that go upstream: OpenAI's own, and those that the operator lists."""
    passed = (*_PASSED, *listed)
    return [name for name in _harmless(offered) if name in passed or name.startswith(_MARKERS)]


def is_beta(offered: Sequence[str]) -> bool:
    """Whether a browser asks for OpenAI's retired beta."""
    return any(name.startswith("openai-beta.realtime-") for name in offered)


def _harmless(offered: Sequence[str]) -> list[str]:
    return [name for name in offered if not looks_secret(name)]


def select(offered: Sequence[str], by_upstream: str | None) -> str | None:
    """The subprotocol to select downstream, given the one that upstream selected."""
    if by_upstream is not None:
        return by_upstream  # Autobahn has checked that it was offered
    if "realtime" in offered:
        return "realtime"
    harmless = _harmless(offered)
    return harmless[0] if harmless and set(harmless) <= {*_OWN} else None


def select_for_refusal(offered: Sequence[str]) -> str | None:
    """
    The subprotocol to select for a WebSocket that only carries a refusal; never a credential.
    """
    harmless = _harmless(offered)
    for choice in ("realtime", *_OWN, *harmless):
        if choice in harmless:
            return choice
    return None


def hides_status(user_agent: str, from_page: bool) -> bool:
    """
    Whether the client is one that shows its app nothing of a refused handshake, not even the
    status: a browser, or node's own WebSocket. What SDKs show is measured: C{docs/sdks.md}.

    @param from_page: whether the request has an Origin, which is an allowed one.
    """
    return user_agent == "node" or (from_page and user_agent.startswith("Mozilla/"))


def refusal_is_in_band(setting: str, offered: Sequence[str], hides_status: bool) -> bool:
    """
    Whether a refusal is told in band.

    @param setting: C{http}, C{event}, or C{auto}: in band if the client's app cannot see an HTTP
        refusal, or asks for it.
    """
    if setting == "auto":
        return hides_status or REFUSALS_EVENT in offered
    return setting == "event"
