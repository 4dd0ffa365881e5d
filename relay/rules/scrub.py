"""Keep secrets out of foreign text that the relay passes on."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterable
from urllib.parse import quote

PREFIX = 8
"""
The first characters of a secret, which are taken for the whole: upstreams quote keys masked after
the first few. A shorter string is no secret, because local models take keys such as C{none}.
"""

_MASKED = re.compile(r"([*•●#])\1{2,}|[^\s.]\.{3,}[^\s.]|\S…\S")
"""
What a word has that shows a key masked: stars or the like, or an ellipsis with something on both
sides. Such a word may show less than L{PREFIX} characters of a secret, or its end.
"""

_CREDENTIAL = re.compile(
    r"(?<![\w-])(?:sk-|ek_|rk_)[\w-]{12,}|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]+"
)
"""What looks like a key of OpenAI's or of a relay's, an ephemeral secret, or a JWT."""

MAX_TEXT = 300
"""Most characters of a foreign text that are passed on."""


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode("utf-8")
    yield secret
    yield quote(secret, safe="")
    yield base64.b64encode(raw).decode("ascii")
    yield base64.urlsafe_b64encode(raw).decode("ascii")


def _redacted(text: str, shows: Callable[[str], object]) -> str:
    # Word by word, because a pattern with the secret in its middle is quadratic in a long word.
    return re.sub(r"\S+", lambda word: "[redacted]" if shows(word[0]) else word[0], text)


def redact(text: str, secrets: Iterable[str]) -> str:
    """
    The text with C{[redacted]} for every word that shows a secret.

    @param secrets: strings that must not show, be it as they are, URL-encoded or in base64, whole
        or masked after their first L{PREFIX} characters.
    """
    return without(text, starts_of(secrets))


def starts_of(secrets: Iterable[str]) -> Collection[str]:
    """What a word shows that shows a secret, for L{without}."""
    return {form[:PREFIX] for s in secrets if len(s) >= PREFIX for form in _forms(s)}


def without(text: str, starts: Collection[str]) -> str:
    """The text with C{[redacted]} for every word that has one of these in it."""
    if not any(start in text for start in starts):
        return text  # as nearly always; to go through all words takes far longer
    return _redacted(text, lambda word: any(start in word for start in starts))


def scrub(text: str, secrets: Iterable[str]) -> str:
    """
    The text redacted, on one line, without control characters, cut at L{MAX_TEXT}. A word that
    looks like a masked key is redacted too, whosever key it is.
    """
    line = "".join(c if c.isprintable() else " " for c in text)
    return _redacted(redact(line, secrets), _MASKED.search)[:MAX_TEXT]


def mask(text: str) -> str:
    """The text with C{[redacted]} for all that looks like a credential, whosever it is."""
    return _CREDENTIAL.sub("[redacted]", text)
