"""The PEM files that the settings name: authorities to trust, and certificates to show."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)

from relay.config.checks import shown
from relay.rules.errors import RelayError

_BEGIN = b"-----BEGIN CERTIFICATE-----"


class CertificateFault(RelayError):
    """A file of certificates or keys cannot be used; the text says which and why, on one line."""


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CertificateFault(f"{os.path.abspath(path)}: {error.strerror}") from None


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
        # Not by OpenSSL, which would ask for an encrypted key's password on the terminal.
        return load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateFault(f"{path}: not a PEM private key without a password") from None


def authorities(path: str) -> Any:
    """
    A trust root of the authorities whose certificates are in this PEM file.

    @raise CertificateFault: if it cannot be used.
    """
    return trustRootFromCertificates(_certificates(path))


def identity(path: str) -> dict[str, Any]:
    """
    A certificate, its chain and its key, all from one PEM file, as arguments of
    L{CertificateOptions}. Not as a L{PrivateCertificate}, which uses deprecated types of pyOpenSSL.

    @raise CertificateFault: if the file cannot be used, the certificate has expired, or the key
        does not belong to it.
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
    Check that a certificate can be for this host, by IDNA 2008, which allows no C{_} in a name.

    @raise CertificateFault: if not.
    """
    try:
        optionsForClientTLS(host)
    except UnicodeError:
        raise CertificateFault(f"no certificate can be for {shown(host)}") from None


def server_options(certificate: str, key: str) -> CertificateOptions:
    """
    TLS options of a listener, for TLS 1.2 or newer.

    @param certificate: PEM file: the certificate, then its chain.
    @param key: PEM file of its private key.
    @raise CertificateFault: if a file cannot be used, the certificate has expired, or the key does
        not belong to it.
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


def valid_until(certificate: str) -> float:
    """
    Until when the first certificate of a PEM file is valid, in seconds since 1970.

    @raise CertificateFault: if the file cannot be used.
    """
    own = _certificates(certificate)[0].original.to_cryptography()
    until: datetime = own.not_valid_after_utc
    return until.timestamp()
