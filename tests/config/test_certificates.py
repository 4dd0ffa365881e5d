"""The files of certificates and keys: what can be used, and what is said of the rest."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from relay.config.certificates import CertificateFault, identity, server_options, valid_until

TLS_PAGE = Path(__file__).parents[2] / "docs" / "tls.md"

HOST = "relay.test"
ENCRYPTED_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
)


# What an upstream is shown


def test_a_client_certificate_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CertificateFault, match=r"own\.pem: No such file"):
        identity(str(tmp_path / "own.pem"))


def test_a_client_certificate_without_a_key_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(trustme.CA().issue_cert(HOST).cert_chain_pems[0].bytes())
    with pytest.raises(CertificateFault, match=r"own\.pem: not a PEM private key without a pass"):
        identity(str(path))


def test_a_client_certificate_whose_key_has_a_password_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(trustme.CA().issue_cert(HOST).cert_chain_pems[0].bytes() + ENCRYPTED_KEY)
    with pytest.raises(CertificateFault, match=r"own\.pem: not a PEM private key without a pass"):
        identity(str(path))


def test_a_key_without_a_client_certificate_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(trustme.CA().issue_cert(HOST).private_key_pem.bytes())
    with pytest.raises(CertificateFault, match=r"own\.pem: not a PEM certificate"):
        identity(str(path))


def test_a_client_certificate_with_the_key_of_another_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    one, other = trustme.CA().issue_cert(HOST), trustme.CA().issue_cert(HOST)
    path.write_bytes(one.cert_chain_pems[0].bytes() + other.private_key_pem.bytes())
    with pytest.raises(CertificateFault, match=r"own\.pem: its key is not that of its first"):
        identity(str(path))


def test_an_expired_client_certificate_is_an_error(tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    leaf = trustme.CA().issue_cert(HOST, not_after=yesterday)
    path = tmp_path / "own.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
    with pytest.raises(CertificateFault, match=r"own\.pem: has expired"):
        identity(str(path))


# What a listener shows


def written(folder: Path, leaf: trustme.LeafCert) -> tuple[str, str]:
    """The files of a certificate and its key."""
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    paths[1].write_bytes(leaf.private_key_pem.bytes())
    return str(paths[0]), str(paths[1])


def test_a_certificate_and_its_key_make_a_listener(tmp_path: Path) -> None:
    files = written(tmp_path, trustme.CA().issue_cert(HOST))
    assert server_options(*files).getContext() is not None


def test_a_listeners_expired_certificate_is_an_error(tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    files = written(tmp_path, trustme.CA().issue_cert(HOST, not_after=yesterday))
    with pytest.raises(CertificateFault, match=r"certificate\.pem: has expired"):
        server_options(*files)


def test_a_listeners_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    certificate, _ = written(tmp_path, trustme.CA().issue_cert(HOST))
    other = tmp_path / "other"
    other.mkdir()
    _, key = written(other, trustme.CA().issue_cert(HOST))
    with pytest.raises(CertificateFault, match=r"key.pem: is not the key of .*certificate.pem"):
        server_options(certificate, key)


@pytest.mark.parametrize("text", [b"", b"nonsense", ENCRYPTED_KEY])
def test_a_listeners_key_file_without_a_key_is_an_error(tmp_path: Path, text: bytes) -> None:
    certificate, key = written(tmp_path, trustme.CA().issue_cert(HOST))
    Path(key).write_bytes(text)
    with pytest.raises(CertificateFault, match=r"key\.pem: not a PEM private key"):
        server_options(certificate, key)


def test_it_is_known_until_when_a_certificate_is_valid(tmp_path: Path) -> None:
    until = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    certificate, _ = written(tmp_path, trustme.CA().issue_cert(HOST, not_after=until))
    assert valid_until(certificate) == until.timestamp()


# The page's recipe


@pytest.mark.parametrize("name", ["relay.example.com", "127.0.0.1"])
def test_the_pages_own_certificate_is_one_that_clients_accept(tmp_path: Path, name: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("not installed: openssl")
    recipe = re.search(
        r"^openssl .*?[^\\]\n", TLS_PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert recipe is not None
    subprocess.run(recipe[0], shell=True, cwd=tmp_path, check=True, capture_output=True)
    certificate, key = str(tmp_path / "fullchain.pem"), str(tmp_path / "privkey.pem")
    server_options(certificate, key)
    assert valid_until(certificate) > (datetime.now(UTC) + timedelta(days=300)).timestamp()
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by itself
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate, key)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(down, up, server_hostname=name)
    server = serving.wrap_bio(up, down, server_side=True)
    for end in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert client.version() == "TLSv1.3"
