"""TLS to an upstream, and the names of TLS errors."""

from __future__ import annotations

from typing import Any
from weakref import proxy

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import optionsForClientTLS, platformTrust
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from relay.config.certificates import authorities, check_name, identity
from relay.upstreams.upstream import Upstream


@implementer(IOpenSSLClientConnectionCreator)
class ResumingOptions:
    """
    Connects to one upstream by TLS, and resumes the latest TLS session with it. That saves both
    sides the certificate and its verification.

    An upstream that declines to resume shows its certificate, which is verified. A session that
    ended with an alert is not offered again by OpenSSL.
    """

    def __init__(self, options: IOpenSSLClientConnectionCreator) -> None:
        self._options = options
        self._session: SSL.Session | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that offers the session."""
        # Twisted's callback drops its reference to the protocol when it has verified a certificate.
        # A resumed session has none to verify, so the reference cycle through pyOpenSSL's callbacks
        # would wait for the garbage collector.
        weak: Any = proxy(tlsProtocol)
        connection = self._options.clientConnectionForTLS(weak)
        if self._session is not None:
            connection.set_session(self._session)
        return connection

    def keep(self, connection: SSL.Connection) -> None:
        """
        Offer this connection's session from now on. To be called once the upstream has sent data:
        by then it is verified, and with TLS 1.3 its ticket comes only after the handshake.
        """
        self._session = connection.get_session()


def client_options(upstream: Upstream) -> ResumingOptions:
    """
    How to connect to this upstream by TLS. Its certificate must be for its name, and is verified by
    the system's authorities or those in C{ca_file}. It is shown the C{client_certificate}, if any.

    @raise CertificateFault: if a file cannot be used, or no certificate can be for its host.
    """
    check_name(upstream.host)
    own, ca_file = upstream.client_certificate, upstream.ca_file
    options = optionsForClientTLS(
        upstream.host,
        trustRoot=platformTrust() if ca_file is None else authorities(ca_file),
        extraCertificateOptions=None if own is None else identity(own),
    )
    return ResumingOptions(options)


def name_of(error: BaseException | None) -> str:
    """The name, in records, of an error that ended a connection; of OpenSSL's, its reason."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][-1][-1])
    return type(error).__name__


def is_alert(error: BaseException | None) -> bool:
    """Whether the peer ended TLS and said why (RFC 8446, 6.2)."""
    return isinstance(error, SSL.Error) and " alert " in name_of(error)
