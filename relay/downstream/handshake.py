"""What the end of a connection tells of a TLS handshake that came to nothing."""

from __future__ import annotations

from OpenSSL.SSL import Error
from twisted.python.failure import Failure

_HTTP = "a client speaks plain HTTP to this listener, which has TLS: use wss:// or https://"

KNOWN = {
    "http request": _HTTP,
    "https proxy request": _HTTP,
    # OpenSSL knows only some methods.
    "wrong version number": "a client speaks no TLS to this listener, which has TLS, but perhaps"
    " plain HTTP or the PROXY protocol: use wss:// or https://",
}
"""OpenSSL's reason to what the operator should know."""


def fault_of_handshake(reason: Failure) -> str | None:
    """
    What was wrong, in words; L{None} if TLS came, in whatever state, or the connection was lost.
    """
    if not isinstance(reason.value, Error) or not reason.value.args:
        return None
    told = [part[-1] for part in reason.value.args[0]]
    return next((KNOWN[each] for each in told if each in KNOWN), None)
