"""
A demo's TLS listener, with a certificate that nobody has to get.

OpenAI's SDK for Node insists on C{wss:}, and so do the microphones of phones.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

_log = Logger()

ENDPOINT = "tcp:8443:interface=127.0.0.1"
"""Where it listens, as the settings would say it."""

PORT, HOST = 8443, "127.0.0.1"

DAYS = 30
"""How long the certificate is valid: longer than a demo runs."""


@frozen
class Certified:
    """
    A certificate for this machine, whose private key is in memory only.

    @ivar authority: PEM of the authority that vouches for it. That has no key any more.
    """

    authority: bytes
    options: CertificateOptions


def certified(now: datetime) -> Certified:
    """A new certificate for C{localhost}, of an authority of its own."""
    issuer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "realtime-relay demo")])
    unsigned = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
    )
    authority = (
        unsigned.subject_name(name)
        .serial_number(x509.random_serial_number())
        .public_key(issuer.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_for_certificates(), critical=True)
        .sign(issuer, SHA256())
    )
    here = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(a)) for a in (HOST, "::1"))]
    own = (
        unsigned.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(here), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(issuer, SHA256())
    )
    # Not as a PrivateCertificate, which uses deprecated types of pyOpenSSL.
    both: dict[str, Any] = {"privateKey": key, "certificate": own}
    return Certified(authority.public_bytes(Encoding.PEM), CertificateOptions(**both))


def _for_certificates() -> x509.KeyUsage:
    usages = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{usage: usage == "key_cert_sign" for usage in usages})


class SecureDemo:
    """The listener, and the folder with the authority's certificate, for clients to trust."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._folder: Path | None = None

    def listen(self, here: IProtocolFactory) -> IListeningPort | None:
        """
        Listen, and say how to use it. If the port is taken, say that; the demo goes on without.
        """
        made = certified(datetime.now(UTC))
        secure = TLSMemoryBIOFactory(made.options, False, here, clock=self._reactor)
        try:
            port: IListeningPort = self._reactor.listenTCP(PORT, secure, interface=HOST)
        except CannotListenError as taken:
            why = getattr(taken.socketError, "strerror", None) or taken.socketError
            _log.warn("no TLS in this demo: cannot listen on {port}: {why}", port=PORT, why=why)
            return None
        address: Any = port.getHost()
        self._folder = Path(mkdtemp(prefix="realtime-relay-"))
        file = self._folder / "ca.pem"
        file.write_bytes(made.authority)
        _log.info(
            "listening on https://localhost:{port}; for Node:"
            " export NODE_EXTRA_CA_CERTS={file}; for Python: export SSL_CERT_FILE={file}",
            port=address.port,
            file=str(file),
        )
        return port

    def stop(self) -> None:
        """Remove the folder."""
        folder, self._folder = self._folder, None
        if folder is not None:
            with suppress(OSError):
                rmtree(folder)
