"""The issuers of JWTs that the settings name: their keys, if a file has them, found and checked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from relay.config.authorizers import JwtTable
from relay.config.certificates import CertificateFault, authorities
from relay.config.keys import KeyFault, SecretFile, long_line, read_file


@frozen
class JwtSource:
    """
    An issuer of JWTs.

    @ivar key: the one key; L{None} if the issuer publishes its keys.
    """

    table: JwtTable
    key: Callable[[], Any] | None = field(repr=False)


def look_at_authorities(ca_file: str | None, what: str) -> None:
    """@raise KeyFault: if the file is named and cannot be used."""
    try:
        if ca_file is not None:
            authorities(ca_file)
    except CertificateFault as fault:
        raise KeyFault(f"{what} ca_file: {fault}") from None


def jwt_source(table: JwtTable, number: int) -> JwtSource | None:
    """
    The issuer of a table.

    @param number: the table's, from 1.
    @raise KeyFault: if what it names cannot be used.
    """
    what = f"[[auth.jwt]] #{number}"
    if find_spec("jwt") is None:
        raise KeyFault(f"{what}: needs PyJWT; install realtime-relay[jwt]")
    look_at_authorities(table.ca_file, what)
    if table.key_file is None:
        return JwtSource(table, None)
    if table.is_secret:
        # RFC 7518, 3.2: no shorter than the hash.
        read = partial(_secret, max(int(name[2:]) // 8 for name in table.algorithms))
    else:
        read = partial(_public_key, table.kind)
    return JwtSource(table, SecretFile(Path(table.key_file), f"{what} key_file", read))


def _secret(least: int, path: Path, what: str) -> bytes:
    return long_line(path, what, least)


_KINDS: dict[str, tuple[type, ...]] = {
    "RS": (RSAPublicKey,),
    "ES": (EllipticCurvePublicKey,),
    "Ed": (Ed25519PublicKey, Ed448PublicKey),
}

LEAST_BITS = 2048
"""Fewest bits of an RSA key (RFC 7518, 3.3)."""


def _public_key(kind: str, path: Path, what: str) -> Any:
    try:
        key = load_pem_public_key(read_file(path, what))
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFault(f"{what}: not the PEM of a public key") from None
    if not isinstance(key, _KINDS[kind]):
        raise KeyFault(f"{what}: not a key of the kind of algorithms")
    if isinstance(key, RSAPublicKey) and key.key_size < LEAST_BITS:
        raise KeyFault(f"{what}: fewer than {LEAST_BITS} bits")
    return key
