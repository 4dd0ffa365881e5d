"""
What a proxy on the way has done to a request for a WebSocket.

C{Upgrade} and C{Connection} are for one hop (RFC 9110, 7.6.1), so a proxy that does not know
WebSockets takes them away, and passes on C{Sec-WebSocket-Key} and its like, which it does not know.
"""

from __future__ import annotations

from relay.http.head import Head

_PREFIXES = ("x-forwarded-", "x-envoy-", "x-amzn-", "x-amz-cf-", "cf-", "x-azure-", "fly-")

_NAMES = ("forwarded", "x-real-ip", "x-client-ip", "true-client-ip", "x-cloud-trace-context")

ADVICE = (
    "configure it for WebSockets, for example nginx with proxy_http_version 1.1,"
    ' proxy_set_header Upgrade $http_upgrade and proxy_set_header Connection "upgrade"'
)

_LONGEST = 60
"""Characters of a C{Via} that are repeated."""


def trace_of_proxy(head: Head) -> str | None:
    """That by which a proxy on the way shows itself, the clearest first; L{None} without."""
    if via := ", ".join(head.elements("via")):
        return f"Via: {via[:_LONGEST]}"
    for name, _ in head.fields:
        if name in _NAMES or name.startswith(_PREFIXES):
            return name.title()
    # No client asks for a WebSocket by it, but nginx passes on by it unless told otherwise.
    return None if head.version else "HTTP/1.0"


def asks_for_websocket(head: Head) -> bool:
    """Whether anything is left of a request for a WebSocket."""
    return head.wants_upgrade or any(name.startswith("sec-websocket-") for name, _ in head.fields)


def names_upgrade(head: Head) -> bool:
    """Whether C{Connection} names C{Upgrade}, as it must."""
    return "upgrade" in (option.lower() for option in head.elements("connection"))


def explained(head: Head, did: str, fault: str) -> str:
    """
    The message about what is not there, with the likely reason.

    @param did: what a proxy did then, after "a proxy".
    @param fault: the message to a client that is itself at fault.
    """
    trace = trace_of_proxy(head)
    if trace is None:
        lost_by_hop = not head.wants_upgrade or not names_upgrade(head)
        if not (asks_for_websocket(head) and lost_by_hop):
            return fault
        return f"{fault} Most likely a proxy on the way {did}; {ADVICE}."
    if asks_for_websocket(head):
        return f"A proxy on the way ({trace}) {did}; {ADVICE}."
    return f"{fault} If a WebSocket was asked for, the proxy on the way ({trace}) {did}; {ADVICE}."
