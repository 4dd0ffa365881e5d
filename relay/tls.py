"""TLS towards upstreams: who is trusted, and one set of options for all connections."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

from relay.providers import Upstream

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def _certificates(pem: bytes) -> list[Certificate]:
    found = [Certificate.loadPEM(_BEGIN + part) for part in pem.split(_BEGIN)[1:]]
    if not found:
        raise ValueError("no certificate")
    return found


def client_options(upstream: Upstream) -> IOpenSSLClientConnectionCreator:
    """
    How to connect to this upstream by TLS: its name is checked, against the system's
    authorities or those in C{ca_file}.

    @raise OSError: if the file cannot be read.
    @raise ValueError: if there is no certificate in it.
    @raise OpenSSL.crypto.Error: if one in it cannot be parsed.
    """
    if upstream.ca_file is None:
        return optionsForClientTLS(upstream.host, trustRoot=platformTrust())
    certificates = _certificates(Path(upstream.ca_file).read_bytes())
    return optionsForClientTLS(upstream.host, trustRoot=trustRootFromCertificates(certificates))
