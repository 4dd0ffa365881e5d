"""What the end of a connection tells of a TLS handshake that came to nothing."""

from __future__ import annotations

from OpenSSL.SSL import Error
from twisted.python.failure import Failure

_HTTP = "a client speaks plain HTTP to this listener, which has TLS: use wss:// or https://"
_UNTRUSTED = (
    "a client does not accept this listener's certificate ({reason}): it must trust the"
    " certificate's authority, and the certificate must be valid for the name that it asks for"
)
_NOTHING_SHARED = (
    "a client has no TLS version or cipher in common with this listener ({reason}): it must speak"
    " TLS 1.2 or newer"
)
_LOST = "unexpected eof while reading"
"""OpenSSL's reason where the connection was lost, as by a balancer that only looks for a port."""

_OTHER = "the TLS handshake of a client failed ({reason})"

KNOWN = {
    "http request": _HTTP,
    "https proxy request": _HTTP,
    # OpenSSL knows only some methods.
    "wrong version number": "a client speaks no TLS to this listener, which has TLS, but perhaps"
    " plain HTTP or the PROXY protocol: use wss:// or https://",
    "unsupported protocol": _NOTHING_SHARED,
    "no shared cipher": _NOTHING_SHARED,
    "no suitable signature algorithm": _NOTHING_SHARED,
    "alert unknown ca": _UNTRUSTED,
    "alert bad certificate": _UNTRUSTED,
    "alert certificate unknown": _UNTRUSTED,
    "alert certificate expired": _UNTRUSTED,
    "alert certificate revoked": _UNTRUSTED,
    "alert unsupported certificate": _UNTRUSTED,
}
"""
The end of OpenSSL's reason to what the operator should know. How the reason of an alert begins
differs between versions of TLS and of OpenSSL.
"""


def fault_of_handshake(reason: Failure) -> str | None:
    """
    What was wrong, in words; L{None} if the connection was only lost. OpenSSL's reasons, which may
    stand in it, are of a fixed list: nothing that the client sent does.
    """
    if not isinstance(reason.value, Error) or not reason.value.args:
        return None
    told = [part[-1] for part in reason.value.args[0] if part[-1] != _LOST]
    for each in told:
        for end, words in KNOWN.items():
            if each.endswith(end):
                return words.format(reason=each)
    return _OTHER.format(reason=told[0]) if told else None
