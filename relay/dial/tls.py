"""TLS on either side: whom to trust upstream, and which certificate to show downstream."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import proxy

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from relay.config.checks import shown
from relay.upstreams.providers import Upstream

_BEGIN = b"-----BEGIN CERTIFICATE-----"


class CertificateFault(Exception):
    """A file of certificates or keys cannot be used; the text says which and why, on one line."""


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateFault(f"{path}: {error.strerror}") from None


def _certificates(path: str) -> list[Certificate]:
    parts = _read(path).split(_BEGIN)[1:]
    try:
        found = [Certificate.loadPEM(_BEGIN + part) for part in parts]
    except (ValueError, crypto.Error):
        found = []
    if not found:
        raise CertificateFault(f"{path}: not a PEM certificate")
    return found


def _key(path: str) -> PrivateKeyTypes:
    try:
        # Not by OpenSSL, which asks for the password of an encrypted key on the terminal.
        return load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateFault(f"{path}: not a PEM private key without a password") from None


@implementer(IOpenSSLClientConnectionCreator)
class ResumingOptions:
    """
    Connects to one upstream by TLS, and resumes the latest session with it, which spares both the
    certificate and its verification. Who declines to resume shows its certificate and is verified;
    one that ended with an alert OpenSSL does not offer again.
    """

    def __init__(self, options: IOpenSSLClientConnectionCreator) -> None:
        self._options = options
        self._session: SSL.Session | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A connection that offers the session."""
        # Twisted's callback drops the protocol when it has verified a certificate. In a resumed
        # session there is none, and pyOpenSSL's callbacks wait for the garbage collector.
        weak: Any = proxy(tlsProtocol)
        connection = self._options.clientConnectionForTLS(weak)
        if self._session is not None:
            connection.set_session(self._session)
        return connection

    def keep(self, connection: SSL.Connection) -> None:
        """
        Offer this session from now on. To be called once the upstream has spoken inside TLS: it is
        verified by then, and with TLS 1.3 its ticket comes after the handshake.
        """
        self._session = connection.get_session()


def client_options(upstream: Upstream) -> ResumingOptions:
    """
    How to connect to this upstream by TLS: its name is checked, against the system's
    authorities or those in C{ca_file}, and it is shown the C{client_certificate}.

    @raise CertificateFault: if a file cannot be used.
    """
    own, ca_file = upstream.client_certificate, upstream.ca_file
    options = optionsForClientTLS(
        upstream.host,
        trustRoot=platformTrust() if ca_file is None else authorities(ca_file),
        extraCertificateOptions=None if own is None else identity(own),
    )
    return ResumingOptions(options)


def authorities(path: str) -> Any:
    """
    To trust those whose certificates are in this PEM file.

    @raise CertificateFault: if it cannot be used.
    """
    return trustRootFromCertificates(_certificates(path))


def identity(path: str) -> dict[str, Any]:
    """
    The certificate, its chain and its key, all of one PEM file, as L{CertificateOptions} takes
    them. Not a L{PrivateCertificate}: that holds pyOpenSSL's own types, which warn of their end.

    @raise CertificateFault: if it cannot be used, the certificate has expired, or the key is
        another's.
    """
    certificates = _certificates(path)
    if certificates[0].original.has_expired():
        raise CertificateFault(f"{path}: has expired")
    key = _key(path)
    own, *chain = (each.original.to_cryptography() for each in certificates)
    if key.public_key() != own.public_key():
        raise CertificateFault(f"{path}: its key is not that of its first certificate")
    return {"privateKey": key, "certificate": own, "extraCertChain": chain}


def check_name(host: str) -> None:
    """
    Look whether a certificate can be for this host: by IDNA 2008, which knows no C{_} in a name.

    @raise CertificateFault: if not.
    """
    try:
        optionsForClientTLS(host)
    except UnicodeError:
        raise CertificateFault(f"no certificate can be for {shown(host)}") from None


def name_of(error: BaseException | None) -> str:
    """What to call an error that ended a connection, in records; OpenSSL's by its reason."""
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][-1][-1])
    return type(error).__name__


def is_alert(error: BaseException | None) -> bool:
    """Whether the peer ended TLS and said why (RFC 8446, 6.2)."""
    return isinstance(error, SSL.Error) and " alert " in name_of(error)


def server_options(certificate: str, key: str) -> CertificateOptions:
    """
    How a listener speaks TLS, 1.2 or newer.

    @param certificate: PEM file: the certificate, then its chain.
    @param key: PEM file of its private key.
    @raise CertificateFault: if a file cannot be used, the certificate has expired, or they do not
        belong together.
    """
    if _certificates(certificate)[0].original.has_expired():
        raise CertificateFault(f"{certificate}: has expired")
    private = _key(key)
    options = CertificateOptions()
    context = options.getContext()
    context.use_certificate_chain_file(certificate)
    try:
        context.use_privatekey(private)  # type: ignore[arg-type]  # other kinds raise TypeError
    except (SSL.Error, TypeError):
        raise CertificateFault(f"{key}: is not the key of {certificate}") from None
    return options
