"""Upstreams by TLS: only a good certificate of a trusted authority opens one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from integration.answers import WebSocketClient
from integration.broken import Broken, check_by_http
from integration.broken_tls import (
    BEHIND_TLS,
    BROKEN_HANDSHAKES,
    UNTRUSTED,
    Asking,
    Certified,
    expired,
    good,
    of_another_authority,
    of_another_name,
    unknown,
)
from integration.loopback import Loopback, Relay, until
from integration.upstreams import CREATED, UpstreamPort, switches
from OpenSSL import SSL

Issue = Callable[[trustme.CA], trustme.LeafCert]


def _url(loopback: Loopback, port: UpstreamPort, tls: Any = None) -> str:
    return f"wss://127.0.0.1:{loopback.listen(port, tls)}/v1/realtime"


@pytest.mark.parametrize("case", BROKEN_HANDSHAKES, ids=str)
@pytest_twisted.ensureDeferred
async def test_a_failed_tls_handshake_gives_its_refusal(loopback: Loopback, case: Broken) -> None:
    port = UpstreamPort(*case.does, cue=case.cue)
    await check_by_http(loopback, case, port, loopback.relay(_url(loopback, port)))
    (peer,) = port.peers
    assert peer.lost is not None


@pytest.mark.parametrize("issue", [expired, of_another_name, of_another_authority])
@pytest_twisted.ensureDeferred
async def test_an_upstream_with_a_bad_certificate_is_a_tls_failure(
    loopback: Loopback, authority: trustme.CA, ca_file: str, issue: Issue
) -> None:
    port = UpstreamPort(*UNTRUSTED.does)
    url = _url(loopback, port, Certified(issue(authority)))
    await check_by_http(loopback, UNTRUSTED, port, loopback.relay(url, ca_file=ca_file))
    assert not any(peer.received for peer in port.peers), "the request, key included, was sent"


@pytest_twisted.ensureDeferred
async def test_an_authority_that_the_system_does_not_trust_is_a_tls_failure(
    loopback: Loopback, authority: trustme.CA
) -> None:
    port = UpstreamPort(*UNTRUSTED.does)
    url = _url(loopback, port, Certified(good(authority)))
    await check_by_http(loopback, UNTRUSTED, port, loopback.relay(url))


@pytest.mark.parametrize("case", BEHIND_TLS, ids=str)
@pytest_twisted.ensureDeferred
async def test_an_upstream_that_fails_after_the_handshake_gives_its_refusal(
    loopback: Loopback, authority: trustme.CA, ca_file: str, case: Broken
) -> None:
    port = UpstreamPort(*case.does)
    url = _url(loopback, port, Certified(good(authority)))
    await check_by_http(loopback, case, port, loopback.relay(url, ca_file=ca_file))


@pytest_twisted.ensureDeferred
async def test_an_upstream_with_a_good_certificate_opens(
    loopback: Loopback, authority: trustme.CA, ca_file: str
) -> None:
    port = UpstreamPort(switches(CREATED))
    url = _url(loopback, port, Certified(good(authority)))
    relay = loopback.relay(url, ca_file=ca_file)
    client = WebSocketClient()
    await loopback.connect(relay, client)
    (event,) = await client.hears(1)
    assert b"session.created" in event.data
    client.leave()
    await loopback.settled(relay, lingering=True)
    assert list(relay.heard.openings[0].attempts[0].stages) == [
        "dns",
        "tcp",
        "tls",
        "upgrade",
        "first_event",
    ]


# -- an upstream that wants to see a certificate -------------------------------------------

VERSIONS = {"TLS 1.2": (SSL.TLS1_2_VERSION, "tls"), "TLS 1.3": (SSL.TLS1_3_VERSION, "upgrade")}
"""With TLS 1.3 the client is done before the server has looked at its certificate."""


def _written(tmp_path: Path, leaf: trustme.LeafCert) -> str:
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    return str(tmp_path / "own.pem")


async def _opens(loopback: Loopback, relay: Relay) -> bool:
    """Whether one more session opens; it is closed again."""
    client = WebSocketClient()
    await loopback.connect(relay, client)
    await until(lambda: client.frames or client.lost, "an answer")
    if client.lost is None:
        client.leave()
    await loopback.settled(relay, lingering=True)
    return bool(client.frames)


@pytest.mark.parametrize("version", VERSIONS)
@pytest_twisted.ensureDeferred
async def test_an_upstream_accepts_the_client_certificate(
    loopback: Loopback, authority: trustme.CA, ca_file: str, tmp_path: Path, version: str
) -> None:
    port, root = UpstreamPort(switches(CREATED)), trustme.CA()
    url = _url(loopback, port, Asking(good(authority), root, VERSIONS[version][0]))
    own = _written(tmp_path, root.issue_cert("relay.test"))
    relay = loopback.relay(url, ca_file=ca_file, client_certificate=own)
    for _ in range(2):  # the second resumes the session of the first
        assert await _opens(loopback, relay)


@pytest_twisted.ensureDeferred
async def test_a_tls_session_that_fails_is_not_offered_again(
    loopback: Loopback, authority: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    port, root = UpstreamPort(switches(CREATED)), trustme.CA()
    asking = Asking(good(authority), root, SSL.TLS1_3_VERSION, resumes=False)
    own = _written(tmp_path, root.issue_cert("relay.test"))
    relay = loopback.relay(_url(loopback, port, asking), ca_file=ca_file, client_certificate=own)
    assert [await _opens(loopback, relay) for _ in range(3)] == [True, False, True]
    assert relay.heard.holds[1].outcome == "upstream_tls_failed"


@pytest.mark.parametrize("shown", ["none", "another's"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest_twisted.ensureDeferred
async def test_without_a_good_client_certificate_it_is_a_tls_failure(
    loopback: Loopback,
    authority: trustme.CA,
    ca_file: str,
    tmp_path: Path,
    version: str,
    shown: str,
) -> None:
    newest, stage = VERSIONS[version]
    port = UpstreamPort(switches(CREATED))
    url = _url(loopback, port, Asking(good(authority), trustme.CA(), newest))
    own = _written(tmp_path, trustme.CA().issue_cert("relay.test"))
    relay = loopback.relay(
        url, ca_file=ca_file, client_certificate=None if shown == "none" else own
    )
    await check_by_http(loopback, unknown(stage), port, relay)
    assert not any(peer.received for peer in port.peers)
