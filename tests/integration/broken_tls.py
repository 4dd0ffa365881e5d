"""Upstreams whose TLS is broken, and one whose TLS is fine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import trustme
from integration.broken import Broken
from integration.loopback import HOLD
from integration.upstreams import CREATED, answers, ends, resets, sends, switches
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

PAST = datetime(2020, 1, 1, tzinfo=UTC)
LONG_PAST = datetime(2019, 1, 1, tzinfo=UTC)

_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"

_failed = ("upstream_tls_failed", 502, False)
_dropped = ("upstream_connect_failed", 502, True)
_late = ("upstream_timeout", 504, True)

BROKEN_HANDSHAKES = [
    Broken("plain HTTP", (answers(400),), *_failed, stage="tls", cue="bytes"),
    Broken("a TLS alert", (sends(_HANDSHAKE_FAILURE),), *_failed, stage="tls", cue="bytes"),
    Broken("FIN at once", (ends,), *_dropped, stage="tls", cue="connection"),
    Broken("FIN after the first bytes", (ends,), *_dropped, stage="tls", cue="bytes"),
    Broken("reset after the first bytes", (resets,), *_dropped, stage="tls", cue="bytes"),
    Broken("silence", (), *_late, stage="tls", cue="bytes", seconds=HOLD),
]
"""What is no TLS, on a wss:// URL."""

UNTRUSTED = Broken("untrusted", (switches(CREATED),), *_failed, stage="tls")
"""What every certificate comes to that is not good."""

BEHIND_TLS = [
    Broken("401", (answers(401),), "upstream_unauthorized", 502, False, seen=401),
    Broken("FIN", (ends,), *_dropped),
    Broken("reset", (resets,), *_dropped),
]
"""What fails after a good TLS handshake, as without TLS."""


@implementer(IOpenSSLServerConnectionCreator)
class Certified:
    """How to listen with a certificate; Twisted's own way warns of pyOpenSSL's changes."""

    def __init__(self, leaf: trustme.LeafCert) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        leaf.configure_cert(self._context)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """The TLS of one connection."""
        return SSL.Connection(self._context, None)


class Asking(Certified):
    """
    How to listen for those only who show a certificate.

    @param root: the only authority that may vouch for it.
    @param version: the newest version of TLS that is spoken.
    @param resumes: whether a session can be resumed; else one that is offered ends the connection.
    """

    def __init__(
        self, leaf: trustme.LeafCert, root: trustme.CA, version: int, resumes: bool = True
    ) -> None:
        super().__init__(leaf)
        root.configure_trust(self._context)
        must = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        self._context.set_verify(must, lambda *checked: bool(checked[-1]))
        self._context.set_max_proto_version(version)
        if resumes:
            self._context.set_session_id(b"upstream")


def unknown(stage: str) -> Broken:
    """What it comes to where the relay shows the wrong certificate, or none."""
    says = "The upstream refused the relay's TLS"
    return Broken("unknown", (switches(CREATED),), *_failed, stage=stage, says=says)


def expired(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate that was good once."""
    return authority.issue_cert("127.0.0.1", not_before=LONG_PAST, not_after=PAST)


def of_another_name(authority: trustme.CA) -> trustme.LeafCert:
    """A good certificate of somebody else."""
    return authority.issue_cert("127.0.0.2", "upstream.example")


def of_another_authority(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate that looks right, of an authority nobody asked."""
    return trustme.CA().issue_cert("127.0.0.1")


def good(authority: trustme.CA) -> trustme.LeafCert:
    """A good certificate."""
    return authority.issue_cert("127.0.0.1")
