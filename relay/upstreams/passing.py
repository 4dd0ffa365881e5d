"""What of a downstream's request may go upstream, whatever an operator lists."""

from __future__ import annotations

import re

from relay.rules.subprotocols import looks_secret

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

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

_SECRET_HEADERS = re.compile("(?:proxy-)?authorization|.*api-key|.*token.*|.*secret.*|cookie")
"""Headers that carry credentials."""

_KEPT_HEADERS = re.compile(
    "connection|content-.*|forwarded|host|keep-alive|origin|sec-.*|te|trailer|transfer-encoding"
    "|upgrade|user-agent|via|x-forwarded-.*"
)
"""Headers that concern the connection to the relay alone."""


def is_secret(parameter: str) -> bool:
    """Whether a query parameter of this name carries a credential."""
    return parameter.lower().replace("_", "-") in SECRET_PARAMETERS


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries a credential."""
    return _SECRET_HEADERS.fullmatch(name.lower()) is not None


def fault_of_parameter(name: str) -> str | None:
    """Why a query parameter of this name may not go upstream; L{None} if it may."""
    if not name or not name.isprintable():
        return "must be the name of a query parameter"
    return f"{name} is a credential's" if is_secret(name) else None


def fault_of_header(name: str) -> str | None:
    """Why a header of this name may not go upstream; L{None} if it may."""
    if _TOKEN.fullmatch(name) is None:
        return "must be the name of a header"
    kept = is_secret_header(name) or _KEPT_HEADERS.fullmatch(name.lower())
    return f"{name} is a credential's, or the connection's own" if kept else None


def fault_of_subprotocol(name: str) -> str | None:
    """Why this subprotocol may not go upstream; L{None} if it may."""
    if _TOKEN.fullmatch(name) is None:
        return "must be a subprotocol, which has no spaces"
    return "must be no credential" if looks_secret(name) else None
