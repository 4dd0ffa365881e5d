"""
What a browser must be told before it lets a page read an answer, or send what it asks to send.

Which Origin is allowed is decided elsewhere (L{relay.admission.origins}). A page of an allowed one
may send every method and header, because it may as well ask by a program.

Source: the Fetch standard, 3.3 (CORS protocol); Private Network Access, 3.1.
"""

from __future__ import annotations

from relay.http.head import TOKEN, Head

EXPOSED = "Location, Retry-After, X-Request-Id, X-Should-Retry"
"""The headers of an answer that a page may read, besides those that it always may."""


def is_preflight(head: Head) -> bool:
    """Whether a browser asks, in the name of a page, what the page may send."""
    asks = head.one("origin") and head.all("access-control-request-method")
    return head.method == "OPTIONS" and bool(asks)


def cors_headers(head: Head) -> tuple[tuple[str, str], ...]:
    """
    The headers of every answer to this request.

    @param head: the request; its Origin, if it has one, is an allowed one.
    """
    vary = ("Vary", "Origin")
    origin = head.one("origin")
    if origin is None:
        return (vary,)
    allow = (vary, ("Access-Control-Allow-Origin", origin))
    if is_preflight(head):
        return (*allow, *_allowed(head))
    return (*allow, ("Access-Control-Expose-Headers", EXPOSED))


def _allowed(head: Head) -> list[tuple[str, str]]:
    """What the page asks to send, repeated: it may."""
    allowed = []
    for what, header in (("method", "Methods"), ("headers", "Headers")):
        asked = head.elements(f"access-control-request-{what}")
        if tokens := [each for each in asked if TOKEN.fullmatch(each)]:
            allowed.append((f"Access-Control-Allow-{header}", ", ".join(tokens)))
    # A page of a public address may ask a private one, such as loopback.
    if head.one("access-control-request-private-network") == "true":
        allowed.append(("Access-Control-Allow-Private-Network", "true"))
    return allowed
