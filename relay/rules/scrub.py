"""Keep secrets out of text that somebody else wrote and the relay passes on."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote

PREFIX = 8
"""
Characters of a secret that already give it away, for upstreams quote keys masked after a few.
Anything shorter is no secret (local models take keys such as C{none}).
"""

MAX_TEXT = 300
"""Characters of a foreign text that are passed on."""


def _forms(secret: str) -> Iterable[str]:
    raw = secret.encode("utf-8")
    yield secret
    yield quote(secret, safe="")
    yield base64.b64encode(raw).decode("ascii")
    yield base64.urlsafe_b64encode(raw).decode("ascii")


def redact(text: str, secrets: Iterable[str]) -> str:
    """
    The text with C{[redacted]} for every word that shows a secret.

    @param secrets: what must not show: as it is, URL-encoded or in base64, whole or masked
        after its first L{PREFIX} characters.
    """
    if not text:
        return text
    starts = {form[:PREFIX] for s in secrets if len(s) >= PREFIX for form in _forms(s)}

    def shown(word: re.Match[str]) -> str:
        return "[redacted]" if any(start in word[0] for start in starts) else word[0]

    # Word by word, for a pattern with the start in its middle is quadratic in a long word.
    return re.sub(r"\S+", shown, text)


def scrub(text: str, secrets: Iterable[str]) -> str:
    """The text redacted, on one line, without control characters, L{MAX_TEXT} long at most."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return redact(line, secrets)[:MAX_TEXT]
