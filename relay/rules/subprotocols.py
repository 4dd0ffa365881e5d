"""
What the WebSocket subprotocols mean that downstream offers.

Browsers cannot set headers, so they send credentials as subprotocols. Credentials and the relay's
own subprotocols never go upstream. A browser that offered subprotocols fails the connection if none
of them is selected.
"""

from __future__ import annotations

from collections.abc import Sequence

REFUSALS_EVENT = "relay.refusals.event"
"""A client that offers this reads refusals in band."""

_KEY = "openai-insecure-api-key."
_CREDENTIALS = (_KEY, "openai-organization.", "openai-project.")
_RELAYS_OWN = "relay."


def credential_in(offered: Sequence[str]) -> str | None:
    """The credential that a browser sent as a subprotocol; L{None} without one."""
    return next((name[len(_KEY) :] for name in offered if name.startswith(_KEY)), None)


def for_upstream(offered: Sequence[str]) -> list[str]:
    """The subprotocols that go upstream."""
    return [name for name in offered if not name.startswith((*_CREDENTIALS, _RELAYS_OWN))]


def _harmless(offered: Sequence[str]) -> list[str]:
    return [name for name in offered if not name.startswith(_CREDENTIALS)]


def select(offered: Sequence[str], by_upstream: str | None) -> str | None:
    """The subprotocol to select downstream, given the one that upstream selected."""
    if by_upstream is not None:
        return by_upstream  # Autobahn has checked that it was offered
    if "realtime" in offered:
        return "realtime"
    return REFUSALS_EVENT if _harmless(offered) == [REFUSALS_EVENT] else None


def select_for_refusal(offered: Sequence[str]) -> str | None:
    """
    The subprotocol to select for a WebSocket that only carries a refusal; never a credential.
    """
    harmless = _harmless(offered)
    for choice in ("realtime", REFUSALS_EVENT, *harmless):
        if choice in harmless:
            return choice
    return None


def refusal_is_in_band(setting: str, offered: Sequence[str], browser: bool) -> bool:
    """
    Whether a refusal is told in band.

    @param setting: C{http}, C{event}, or C{auto}: in band if the client cannot read an HTTP
        refusal, or asks for it.
    @param browser: whether this looks like a browser's request from an allowed Origin.
    """
    if setting == "auto":
        return browser or REFUSALS_EVENT in offered
    return setting == "event"
