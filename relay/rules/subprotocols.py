"""
What each WebSocket subprotocol that downstream offers is for.

Browsers cannot set headers, so they send credentials as subprotocols. Those, and the relay's own,
never go upstream; a browser fails the connection when it offered some and none is selected.
"""

from __future__ import annotations

from collections.abc import Sequence

REFUSALS_EVENT = "relay.refusals.event"
"""Who offers this reads refusals in band."""

_KEY = "openai-insecure-api-key."
_CREDENTIALS = (_KEY, "openai-organization.", "openai-project.")
_RELAYS_OWN = "relay."


def credential_in(offered: Sequence[str]) -> str | None:
    """The credential that a browser sent as a subprotocol."""
    return next((name[len(_KEY) :] for name in offered if name.startswith(_KEY)), None)


def for_upstream(offered: Sequence[str]) -> list[str]:
    """Those that go upstream."""
    return [name for name in offered if not name.startswith((*_CREDENTIALS, _RELAYS_OWN))]


def _harmless(offered: Sequence[str]) -> list[str]:
    return [name for name in offered if not name.startswith(_CREDENTIALS)]


def select(offered: Sequence[str], by_upstream: str | None) -> str | None:
    """What is selected downstream, given what upstream selected."""
    if by_upstream is not None:
        return by_upstream  # it was offered: Autobahn has seen to that
    if "realtime" in offered:
        return "realtime"
    return REFUSALS_EVENT if _harmless(offered) == [REFUSALS_EVENT] else None


def select_for_refusal(offered: Sequence[str]) -> str | None:
    """What is selected downstream only to carry a refusal; credentials are never echoed."""
    harmless = _harmless(offered)
    for choice in ("realtime", REFUSALS_EVENT, *harmless):
        if choice in harmless:
            return choice
    return None


def refusal_is_in_band(setting: str, offered: Sequence[str], browser: bool) -> bool:
    """
    Which form a refusal takes.

    @param setting: C{http}, C{event}, or C{auto} for who cannot read the other.
    @param browser: whether this looks like a browser's request from an allowed Origin.
    """
    if setting == "auto":
        return browser or REFUSALS_EVENT in offered
    return setting == "event"
