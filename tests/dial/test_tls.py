"""Whom the relay trusts towards an upstream, tried by whole handshakes in memory."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from relay.config.certificates import CertificateFault
from relay.dial.tls import ResumingOptions, client_options
from relay.upstreams.upstream import Upstream

HOST = "upstream.test"
ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)


class Client(Protocol):
    """Notes that the handshake is done, and why the connection ended."""

    trusting = False
    reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.trusting = True

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def written_as_one(path: Path, leaf: trustme.LeafCert) -> str:
    """The file of a client's certificate, its chain and its key."""
    blobs = [*leaf.cert_chain_pems, leaf.private_key_pem]
    path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return str(path)


def trusts(upstream: Upstream, certificate: trustme.LeafCert) -> bool:
    """Whether a client of this upstream finishes its handshake with such a server."""
    return shakes_hands(client_options(upstream), serving(certificate))[0]


def shakes_hands(options: ResumingOptions, context: ssl.SSLContext) -> tuple[bool, bool | None]:
    """
    Let a client with these options and such a server shake hands, and keep the session.

    @return: whether the client trusts the server, and whether the server resumed a session.
    """
    client, transport = Client(), StringTransport()
    wrapped = Factory.forProtocol(lambda: client)
    tls = TLSMemoryBIOFactory(options, True, wrapped).buildProtocol(ADDRESS)
    tls.makeConnection(transport)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        to_server.write(transport.value())
        transport.clear()
        # An alert from the client is an error here; what matters is what the client says.
        with suppress(ssl.SSLError):
            server.do_handshake()
            server.write(b"hello")
        if to_client.pending:
            tls.dataReceived(to_client.read())
    if client.trusting:
        options.keep(tls.getHandle())
        # OpenSSL offers no session again whose connection is freed before it was shut down.
        tls.loseConnection()
    else:
        assert transport.disconnecting or transport.disconnected
        tls.connectionLost(Failure(ConnectionDone()))
        assert client.reason is not None
        assert client.reason.check(SSL.Error, VerificationError)
    return client.trusting, server.session_reused


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def upstream(ca_file: Path | None, host: str = HOST) -> Upstream:
    return Upstream(f"wss://{host}/", ca_file=None if ca_file is None else str(ca_file))


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "[::1]"])
def test_the_authority_in_the_file_is_trusted(
    authority: trustme.CA, ca_file: Path, host: str
) -> None:
    certificate = authority.issue_cert(host.strip("[]"))
    assert trusts(upstream(ca_file, host), certificate)


@pytest.mark.parametrize("host", ["other.test", "127.0.0.2"])
def test_the_name_in_the_certificate_is_checked(
    authority: trustme.CA, ca_file: Path, host: str
) -> None:
    assert not trusts(upstream(ca_file), authority.issue_cert(host))


def test_no_authority_outside_the_file_is_trusted(ca_file: Path) -> None:
    assert not trusts(upstream(ca_file), trustme.CA().issue_cert(HOST))


def test_without_a_file_a_private_authority_is_not_trusted(authority: trustme.CA) -> None:
    assert not trusts(upstream(None), authority.issue_cert(HOST))


def test_a_file_may_have_several_authorities_with_text_between(
    authority: trustme.CA, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    pems = [trustme.CA().cert_pem.bytes(), authority.cert_pem.bytes()]
    path.write_bytes(b"# first\n" + pems[0] + b"\n# second\n" + pems[1])
    assert trusts(upstream(path), authority.issue_cert(HOST))


def test_a_tls_session_is_resumed_each_time(authority: trustme.CA, ca_file: Path) -> None:
    options, server = client_options(upstream(ca_file)), serving(authority.issue_cert(HOST))
    results = [shakes_hands(options, server) for _ in range(3)]
    assert results == [(True, False), (True, True), (True, True)]


def test_an_upstream_that_declines_to_resume_is_verified(
    authority: trustme.CA, ca_file: Path
) -> None:
    options = client_options(upstream(ca_file))
    assert shakes_hands(options, serving(authority.issue_cert(HOST))) == (True, False)
    assert shakes_hands(options, serving(authority.issue_cert(HOST))) == (True, False)
    assert not shakes_hands(options, serving(authority.issue_cert("other.test")))[0]
    assert not shakes_hands(options, serving(trustme.CA().issue_cert(HOST)))[0]


def test_a_tls_session_is_offered_to_no_other_upstream(
    authority: trustme.CA, ca_file: Path
) -> None:
    server = serving(authority.issue_cert(HOST, "other.test"))
    assert shakes_hands(client_options(upstream(ca_file)), server) == (True, False)
    assert shakes_hands(client_options(upstream(ca_file, "other.test")), server) == (True, False)


def test_an_authority_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CertificateFault, match=r"nowhere\.pem: No such file"):
        client_options(upstream(tmp_path / "nowhere.pem"))


def test_an_authority_file_without_a_certificate_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(CertificateFault, match="not a PEM certificate"):
        client_options(upstream(path))


# What an upstream is shown


def asking(authority: trustme.CA, root: trustme.CA) -> ssl.SSLContext:
    """
    A server that asks for a certificate.

    @param root: the only one it trusts to vouch for it.
    """
    context = serving(authority.issue_cert(HOST))
    context.verify_mode = ssl.CERT_REQUIRED
    root.configure_trust(context)
    return context


def showing(ca_file: Path, path: str) -> ResumingOptions:
    return client_options(Upstream(f"wss://{HOST}/", ca_file=str(ca_file), client_certificate=path))


def test_an_upstream_is_shown_the_client_certificate_and_its_chain(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    root = trustme.CA()
    between = root.create_child_ca().create_child_ca()
    own = written_as_one(tmp_path / "own.pem", between.issue_cert("relay.test"))
    server = asking(authority, root)
    assert [shakes_hands(showing(ca_file, own), server)[0] for _ in range(2)] == [True, True]


def test_the_private_key_may_stand_first_and_be_of_any_kind(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    root = trustme.CA()
    leaf = root.issue_cert("relay.test", key_type=trustme.KeyType.RSA)
    own = tmp_path / "own.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(own))
    assert shakes_hands(showing(ca_file, str(own)), asking(authority, root))[0]


@pytest.mark.parametrize("own", [False, True])
def test_an_upstream_refuses_a_missing_or_foreign_client_certificate(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, own: bool
) -> None:
    leaf = trustme.CA().issue_cert("relay.test")
    options = client_options(upstream(ca_file))
    if own:
        options = showing(ca_file, written_as_one(tmp_path / "own.pem", leaf))
    assert not shakes_hands(options, asking(authority, trustme.CA()))[0]
