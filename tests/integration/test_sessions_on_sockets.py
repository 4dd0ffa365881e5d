"""Open sessions over real sockets, plain and TLS on either side: what crosses, and how it ends."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from integration.loopback import REACTOR, Loopback, RawClient, Relay, until
from integration.proxies import ProxyPort
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ClientFactory, Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from relay import Limits, Proxy, Settings
from relay.config.certificates import server_options
from relay.rules.closes import LOST, STUCK, Side
from relay.testing.peers import no_limits
from relay.wire.interfaces import in_transport

STALL, LINGER = 30.0, 3.0
LIMITS = Limits(stall_seconds=STALL, linger_seconds=LINGER, ping_seconds=3600, pong_seconds=3600)
"""With no ping near, a deadline that is due says what the relay waits for."""

CREATED = '{"type":"session.created"}'
MIB = 2**20


class Far(RawClient):
    """
    The far end of one of the relay's connections, by an implementation that is not the relay's.

    @ivar messages: what came, with its type.
    @ivar close: the Close that came: code and reason.
    """

    def __init__(self, sans: Any, log: bool) -> None:
        super().__init__()
        self.sans = no_limits(sans)
        self.messages: list[tuple[Opcode, bytes]] = []
        self.close: tuple[int, str] | None = None
        self._log = log

    def connectionMade(self) -> None:
        """As client, ask."""
        if isinstance(self.sans, ClientProtocol):
            self.sans.send_request(self.sans.connect())
            self.flush()

    def dataReceived(self, data: bytes) -> None:
        """Take what came and answer what must be."""
        if self._log and len(self.received) < MIB:
            super().dataReceived(data)
        self.sans.receive_data(data)
        for event in self.sans.events_received():
            if isinstance(event, Request):
                self.sans.send_response(self.sans.accept(event))
                self.tell(CREATED)
            elif isinstance(event, Frame):
                self._take(event)
        self.flush()

    def _take(self, frame: Frame) -> None:
        if frame.opcode in DATA_OPCODES:
            self.messages.append((frame.opcode, bytes(frame.data)))
        elif frame.opcode is Opcode.CLOSE:
            self.close = (int.from_bytes(frame.data[:2], "big"), bytes(frame.data[2:]).decode())

    def tell(self, message: str | bytes) -> tuple[Opcode, bytes]:
        """Send a message; return what the other side should get."""
        if isinstance(message, str):
            data, opcode = message.encode(), Opcode.TEXT
            self.sans.send_text(data)
        else:
            data, opcode = message, Opcode.BINARY
            self.sans.send_binary(data)
        self.flush()
        return opcode, data

    def frame(self, opcode: Opcode, data: bytes = b"") -> bytes:
        """A frame of this end's, whatever state it is in."""
        return Frame(opcode, data).serialize(mask=isinstance(self.sans, ClientProtocol))

    def flush(self) -> None:
        """Write what there is to send."""
        for data in self.sans.data_to_send():
            if data:
                self.send(data)

    # -- ways to end -----------------------------------------------------------------------

    def die(self) -> None:
        """Reset the connection; TLS cannot do that twice."""
        if self.lost is None:
            super().die()

    def fin(self) -> None:
        """End the TCP connection, in TLS without a word."""
        self.transport.socket.shutdown(socket.SHUT_WR)

    def fin_in_a_frame(self) -> None:
        """End the TCP connection within a frame."""
        self.send(self.frame(Opcode.BINARY, b"x" * 9000)[:4000])
        self.leave()

    def reset_in_a_frame(self) -> None:
        """Reset the TCP connection within a frame."""
        self.send(self.frame(Opcode.BINARY, b"x" * 9000)[:4000])
        self.die()


def last_words(end: Far) -> str:
    """The code of the relay's own event; it is taken from what came."""
    _, event = end.messages.pop()
    error: dict[str, str] = json.loads(event)["error"]
    assert error["type"] == "relay_error"
    return error["code"]


@dataclass
class Pair:
    """A session, from its two far ends."""

    loopback: Loopback
    relay: Relay
    downstream: Far
    upstream: Far
    secure: tuple[str, ...]

    def ends(self, sender: Side) -> tuple[Far, Far]:
        """The named end and the other."""
        ends = (self.downstream, self.upstream)
        return ends if sender == "downstream" else ends[::-1]

    async def choked(self) -> None:
        """Wait until the relay notices that somebody does not read."""
        await until(lambda: self.loopback.clock.has_due(STALL), "a stall deadline")

    async def ended(self) -> None:
        """Wait until both connections have ended, as the relay does for who does not answer."""
        for end in (self.downstream, self.upstream):
            end.transport.resumeProducing()
        await self.loopback.settled(self.relay, lingering=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and what it vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "leaf.pem"))
    return folder


SIDES = [
    *product(("splice", "message"), ("ws", "wss"), ("ws", "wss")),
    ("splice", "ws", "ws", "proxy"),
    ("splice", "ws", "wss", "proxy"),
]
"""Plane, the schemes of both sides, and whether upstream is behind a proxy."""


@pytest_twisted.async_yield_fixture(params=SIDES, ids="-".join)
async def pair(request: Any, loopback: Loopback, files: Path) -> AsyncIterator[Pair]:
    """An open session."""
    plane, *schemes = request.param
    below, above = (scheme == "wss" for scheme in schemes[:2])
    leaf = str(files / "leaf.pem")
    tls = server_options(leaf, leaf)
    upstream = Far(ServerProtocol(), log=False)
    port = loopback.listen(Factory.forProtocol(lambda: upstream), tls if above else None)
    url = f"{schemes[1]}://localhost:{port}"
    ca_file = str(files / "ca.pem")
    proxy = Proxy("localhost", loopback.listen(ProxyPort())) if "proxy" in schemes else None
    settings = Settings(limits=LIMITS, plane=plane)
    relay = loopback.relay(url, ca_file=ca_file, proxy=proxy, settings=settings)
    address = loopback.listen(relay, tls) if below else relay.port
    downstream = Far(ClientProtocol(parse_uri("ws://localhost/v1/realtime?model=m")), log=True)
    factory: Any = ClientFactory.forProtocol(lambda: downstream)
    if below:
        authority = Certificate.loadPEM((files / "ca.pem").read_bytes())
        trust = optionsForClientTLS("localhost", trustRootFromCertificates([authority]))
        factory = TLSMemoryBIOFactory(trust, True, factory)
    loopback.clients.append(downstream)
    REACTOR.connectTCP("127.0.0.1", address, factory)
    await until(lambda: downstream.messages, "the first event")
    assert downstream.messages.pop() == (Opcode.TEXT, CREATED.encode())
    secure = ("downstream",) * below + ("upstream",) * above
    pair = Pair(loopback, relay, downstream, upstream, secure)
    yield pair
    for end in pair.ends("upstream"):
        end.die()
    await pair.ended()
    (record,) = relay.heard.ends
    assert record.plane == plane


from_each = pytest.mark.parametrize("sender", ["downstream", "upstream"])

# -- what crosses --------------------------------------------------------------------------


def mixture(seed: int) -> list[str | bytes]:
    """Messages of all sizes, of both types, no two alike but the empty ones."""
    chance = random.Random(seed)
    sizes = [chance.choice([0, 1, 125, 126, 65535, 65536]) for _ in range(200)]
    sizes = [*sizes, 4 * MIB, *[20] * 1000, 0]
    blobs = [chance.randbytes(size // 2) for size in sizes]
    return [blob.hex() if chance.random() < 0.5 else blob for blob in blobs]


@pytest_twisted.ensureDeferred
async def test_all_that_is_sent_both_ways_at_once_arrives_in_order(pair: Pair) -> None:
    sent = {}
    for seed, end in enumerate(pair.ends("upstream")):
        sent[seed] = [end.tell(message) for message in mixture(seed)]
    for seed, end in enumerate(pair.ends("downstream")):
        await until(lambda: len(end.messages) >= len(sent[seed]), "all messages")  # noqa: B023
        assert end.messages == sent[seed]


@from_each
@pytest_twisted.ensureDeferred
async def test_a_reader_that_pauses_holds_the_other_up_and_misses_nothing(
    pair: Pair, sender: Side
) -> None:
    end, reader = pair.ends(sender)
    reader.transport.pauseProducing()
    sent = [end.tell(bytes([number]) * MIB) for number in range(32)]
    await pair.choked()
    assert reader.messages == []
    pair.loopback.clock.advance(STALL - 1)
    reader.transport.resumeProducing()
    await until(lambda: len(reader.messages) >= len(sent), "all messages")
    assert reader.messages == sent
    await until(lambda: not pair.loopback.clock.has_due(STALL), "nobody waiting")
    assert (end.lost, reader.lost) == (None, None)


@from_each
@pytest_twisted.ensureDeferred
async def test_a_side_that_reads_nothing_until_the_deadline_is_cut(
    pair: Pair, sender: Side
) -> None:
    end, reader = pair.ends(sender)
    reader.transport.pauseProducing()
    end.tell(b"x" * (16 * MIB))
    await pair.choked()
    pair.loopback.clock.advance(STALL)
    side: Side = "upstream" if sender == "downstream" else "downstream"
    await until(lambda: end.close is not None, "a Close")
    assert end.close == (STUCK[side].code, STUCK[side].reason)
    if side == "upstream":
        assert last_words(end) == "upstream_stalled"
    assert end.messages == []
    await pair.ended()
    assert pair.relay.heard.ends[0].close_code == 1008


# -- how it ends ---------------------------------------------------------------------------


@from_each
@pytest_twisted.ensureDeferred
async def test_queued_messages_are_delivered_before_the_close(pair: Pair, sender: Side) -> None:
    end, reader = pair.ends(sender)
    reader.transport.pauseProducing()
    sent = [end.tell(b"x" * MIB) for _ in range(12)]
    end.send(end.frame(Opcode.CLOSE, b"\x0f\xa0bye"))
    await pair.choked()
    reader.transport.resumeProducing()
    await until(lambda: reader.close is not None, "the Close")
    if sender == "upstream":
        assert last_words(reader) == "upstream_closed"
    assert reader.messages == sent
    assert reader.close == (4000, "bye")


WAYS: list[Callable[[Far], None]] = [
    Far.leave,  # in TLS a close_notify
    Far.fin,
    Far.die,
    Far.fin_in_a_frame,
    Far.reset_in_a_frame,
]


@from_each
@pytest.mark.parametrize("way", WAYS)
@pytest_twisted.ensureDeferred
async def test_the_loss_of_one_side_is_told_to_the_other(
    pair: Pair, sender: Side, way: Callable[[Far], None]
) -> None:
    end, other = pair.ends(sender)
    way(end)
    await until(lambda: other.close is not None, "a Close")
    assert other.close == (LOST[sender].code, LOST[sender].reason)
    if sender == "upstream":
        assert last_words(other) == "upstream_lost"
    assert other.messages == []


@pytest_twisted.ensureDeferred
async def test_a_client_that_still_sends_after_its_fault_reads_the_close_and_the_end(
    pair: Pair,
) -> None:
    client, server = pair.ends("downstream")
    client.transport.pauseProducing()
    client.send(client.frame(Opcode.CONT, b"x") + bytes(16 * MIB))
    await until(lambda: not in_transport(client.transport), "all of it sent")
    client.transport.resumeProducing()
    await until(lambda: client.lost is not None, "the end")
    assert client.close is not None
    assert client.close[0] == 1002
    assert client.lost is not None
    assert client.lost.check(ConnectionDone), "no reset"
    await until(lambda: server.close is not None, "the other Close")
    server.leave()
    await until(lambda: pair.relay.heard.ends, "the session's end, by no deadline")


@from_each
@pytest_twisted.ensureDeferred
async def test_a_side_that_ends_tls_while_data_waits_for_it_counts_as_lost(
    pair: Pair, sender: Side
) -> None:
    end, other = pair.ends(sender)
    if sender not in pair.secure:
        pytest.skip("only TLS ends before its connection does")
    end.transport.pauseProducing()
    other.tell(b"x" * (16 * MIB))
    await pair.choked()
    end.leave()
    end.transport.resumeProducing()
    await until(lambda: other.close is not None, "a Close")
    assert other.close == (LOST[sender].code, LOST[sender].reason)
