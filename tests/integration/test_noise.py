"""Whatever noise comes to a TLS listener: no error is logged, and nothing is left of it."""

from __future__ import annotations

import random
import ssl
from typing import Any

import pytest
import pytest_twisted
import trustme
from integration.loopback import REACTOR, Loopback
from integration.requests import upgrade
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory

from relay.config.certificates import server_options


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A certificate and its key."""
    path = str(tmp_path_factory.mktemp("noise") / "both.pem")
    leaf = trustme.CA().issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(path)
    return path


def hello() -> bytes:
    """How a client begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def garbled(seed: int) -> bytes:
    """The same with a few bytes replaced, and more bytes behind."""
    chance = random.Random(seed)
    data = bytearray(hello())
    for _ in range(chance.randint(1, 5)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data) + chance.randbytes(chance.randint(0, 300))


NOISE = {
    "plain HTTP": upgrade(),
    "zeros": bytes(5000),
    "a record that never ends": b"\x16\x03\x01\xff\xff" + bytes(200),
    "SSL 2": b"\x80\x2e\x01\x00\x02" + bytes(50),
    "half a hello": hello()[:100],
    "two hellos": hello() * 2,
    "a hello and an alert": hello() + b"\x15\x03\x03\x00\x02\x02\x28",
    "a hello and garbage": hello() + bytes(range(256)),
    **{f"garbled, {seed}": garbled(seed) for seed in range(20)},
}


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "reset"])
@pytest.mark.parametrize("data", NOISE.values(), ids=NOISE.keys())
@pytest_twisted.ensureDeferred
async def test_noise_on_a_tls_listener_logs_no_error_and_leaves_nothing(
    loopback: Loopback, pem: str, data: bytes, reset: bool
) -> None:
    relay = loopback.relay("ws://127.0.0.1:1")
    tls: Any = TLSMemoryBIOFactory(server_options(pem, pem), False, relay, clock=loopback.clock)
    relay.port = loopback.listen(tls)
    client = await loopback.connect(relay)
    client.send(data)
    for _ in range(5):  # a reset throws away what is not read yet
        await deferLater(REACTOR, 0)
    client.die() if reset else client.leave()
    await loopback.settled(relay)
    # Whatever failed but for the loss of the connection is told of, once.
    assert [hold.outcome for hold in relay.heard.holds] in ([], ["bad_request"])
