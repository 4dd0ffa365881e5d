"""
What the relay relies on of a transport, in memory as on loopback, plain as by TLS.

Where the transport in memory does otherwise, all tests on it show less than they seem to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from testing.transports import Connection, in_memory, on_loopback
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

PIECE = b"x" * 65536
MOST = 1024
"""Pieces that no kernel takes on a connection whose far end reads nothing: 64 MiB."""


@pytest_twisted.async_yield_fixture(
    params=[(kind, secure) for kind in (in_memory, on_loopback) for secure in (False, True)],
    ids=["memory", "memory-tls", "loopback", "loopback-tls"],
)
async def connection(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    kind, is_secure = request.param
    with kind(is_secure) as connection:
        await connection.open()
        yield connection
        connection.far.reads = True
        connection.far.reset()
        await connection.lost()


@implementer(IPushProducer)
class Producer:
    """Keeps what the transport tells it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @property
    def is_paused(self) -> bool:
        return self.told[-1:] == ["pause"]

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


async def fill(connection: Connection, producer: Producer) -> int:
    """Write until the transport has had enough; return how many bytes."""
    connection.far.reads = False
    connection.transport.registerProducer(producer, True)
    for count in range(MOST):
        if producer.is_paused:
            return count * len(PIECE)
        connection.transport.write(PIECE)
        await connection.turn(3)  # by TLS, it is only now and then that the first writes wait
    raise AssertionError("it never has enough")


# -- bytes ---------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_bytes_cross_both_ways_in_order(connection: Connection) -> None:
    near, far = connection.near, connection.far
    pieces = [b"%d," % number for number in range(1000)]
    for piece in pieces:
        connection.transport.write(piece)
        far.send(piece)
    connection.transport.writeSequence([b"the ", b"end"])
    whole = b"".join(pieces)
    await connection.until(lambda: far.received == whole + b"the end")
    await connection.until(lambda: near.received == whole)


@pytest_twisted.ensureDeferred
async def test_bytes_keep_their_order_while_nobody_reads_them(connection: Connection) -> None:
    near, far = connection.near, connection.far
    far.reads = False
    connection.transport.pauseProducing()
    pieces = [b"%d," % number for number in range(100)]
    for piece in pieces:
        connection.transport.write(piece)
        far.send(piece)
        await connection.turn()
    far.reads = True
    connection.transport.resumeProducing()
    await connection.until(lambda: far.received == near.received == b"".join(pieces))


@pytest_twisted.ensureDeferred
async def test_more_bytes_than_the_kernel_takes_arrive_whole(connection: Connection) -> None:
    connection.far.reads = False
    data = bytes(range(256)) * 4096 * 8
    connection.transport.write(data)
    await connection.turn(5)
    connection.far.reads = True
    await connection.until(lambda: len(connection.far.received) == len(data))
    assert connection.far.received == data


# -- reading -------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_paused_transport_reads_nothing_and_a_resumed_one_all(
    connection: Connection,
) -> None:
    connection.transport.pauseProducing()
    connection.far.send(b"one")
    await connection.turn(10)
    connection.far.send(b"two")
    await connection.turn(10)
    assert connection.near.received == b""
    connection.transport.resumeProducing()
    assert connection.near.received == b"", "not before the next turn"
    await connection.until(lambda: connection.near.received == b"onetwo")


ENDS = [("fin", ConnectionDone), ("reset", ConnectionLost)]


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("how", "error"), ENDS)
async def test_a_reading_transport_sees_the_end(
    connection: Connection, how: str, error: type[Exception]
) -> None:
    getattr(connection.far, how)()
    reason = await connection.lost()
    assert reason.type is error


@pytest_twisted.ensureDeferred
async def test_bytes_before_a_fin_are_read_before_it(connection: Connection) -> None:
    connection.far.send(b"last words")
    connection.far.fin()
    await connection.lost()
    assert connection.near.received == b"last words"


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("how", "error"), ENDS)
async def test_a_paused_transport_that_writes_nothing_sees_no_end_until_resumed(
    connection: Connection, how: str, error: type[Exception]
) -> None:
    connection.transport.pauseProducing()
    getattr(connection.far, how)()
    await connection.turn(10)
    assert connection.near.losses == []
    connection.transport.resumeProducing()
    reason = await connection.lost()
    assert reason.type is error


@pytest_twisted.ensureDeferred
async def test_a_paused_transport_that_waits_to_write_sees_a_reset(connection: Connection) -> None:
    await fill(connection, Producer())
    connection.transport.pauseProducing()
    connection.far.reset()
    assert (await connection.lost()).type is ConnectionLost


# -- writing under pressure ----------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_producer_is_paused_when_too_much_waits_and_resumed_when_it_is_read(
    connection: Connection,
) -> None:
    producer = Producer()
    written = await fill(connection, producer)
    await connection.turn(10)
    assert producer.is_paused
    connection.far.reads = True
    await connection.until(lambda: len(connection.far.received) == written)
    await connection.turn(10)
    assert producer.told == ["pause", "resume"] * (len(producer.told) // 2)


@pytest_twisted.ensureDeferred
async def test_a_transport_has_one_producer_at_a_time(connection: Connection) -> None:
    connection.transport.registerProducer(Producer(), True)
    with pytest.raises(RuntimeError):
        connection.transport.registerProducer(Producer(), True)
    connection.transport.unregisterProducer()
    connection.transport.registerProducer(Producer(), True)


@pytest_twisted.ensureDeferred
async def test_a_producer_is_stopped_when_the_connection_is_lost(connection: Connection) -> None:
    producer, late = Producer(), Producer()
    connection.transport.registerProducer(producer, True)
    connection.far.reset()
    await connection.lost()
    assert producer.told[-1] == "stop"
    connection.transport.registerProducer(late, True)
    assert late.told == ["stop"]


# -- ending it -----------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_losing_a_connection_first_writes_all_that_waits(connection: Connection) -> None:
    connection.far.reads = False
    connection.transport.write(PIECE * 64)
    connection.transport.loseConnection()
    await connection.turn(10)
    connection.far.reads = True
    await connection.until(lambda: connection.far.is_over or connection.near.losses)
    reason = await connection.lost()
    assert reason.type is ConnectionDone
    await connection.until(lambda: connection.far.is_over)
    assert connection.far.received == PIECE * 64


@pytest_twisted.ensureDeferred
async def test_losing_a_connection_waits_for_its_producer_by_tls_only(
    connection: Connection,
) -> None:
    connection.transport.registerProducer(Producer(), True)
    connection.transport.loseConnection()
    await connection.turn(10)
    assert bool(connection.near.losses) != connection.is_secure
    if connection.is_secure:
        connection.transport.unregisterProducer()
    assert (await connection.lost()).type is ConnectionDone


@pytest_twisted.ensureDeferred
async def test_losing_a_connection_stops_reading_by_tcp_only(connection: Connection) -> None:
    connection.far.reads = False
    connection.transport.write(PIECE * 64)
    connection.transport.loseConnection()
    connection.far.send(b"too late?")
    await connection.turn(10)
    assert connection.near.received == (b"too late?" if connection.is_secure else b"")


@pytest_twisted.ensureDeferred
async def test_half_a_connection_is_lost_behind_all_that_waits_and_the_other_half_is_read(
    connection: Connection,
) -> None:
    if connection.is_secure:
        pytest.skip("Twisted passes a half-close on below TLS")
    near, far = connection.near, connection.far
    far.reads = False
    connection.transport.write(PIECE * 64)
    connection.transport.loseWriteConnection()
    far.send(b"heard")
    await connection.until(lambda: near.received == b"heard")
    assert not far.is_over
    far.reads = True
    await connection.until(lambda: far.is_over)
    assert far.received == PIECE * 64
    far.send(b" still")
    await connection.until(lambda: near.received == b"heard still")
    assert near.losses == []
    far.fin()
    assert (await connection.lost()).type is ConnectionDone


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("method", ["loseConnection", "abortConnection"])
async def test_the_loss_of_a_connection_is_told_in_a_later_turn(
    connection: Connection, method: str
) -> None:
    getattr(connection.transport, method)()
    assert connection.near.losses == []
    await connection.lost()


@pytest_twisted.ensureDeferred
async def test_aborting_a_connection_drops_what_waits_and_reads_no_more(
    connection: Connection,
) -> None:
    written = await fill(connection, Producer())
    connection.far.send(b"too late")
    connection.transport.abortConnection()
    # By TLS, either will do: what waits is found by a write that fails.
    errors = (ConnectionAborted, ConnectionLost)[: 1 + connection.is_secure]
    assert (await connection.lost()).check(*errors)
    connection.far.reads = True
    await connection.until(lambda: connection.far.is_over)
    assert len(connection.far.received) < written
    assert connection.near.received == b""


@pytest_twisted.ensureDeferred
async def test_aborting_a_connection_takes_nothing_back_that_has_arrived(
    connection: Connection,
) -> None:
    connection.far.reads = False
    connection.transport.write(b"arrived")
    await connection.turn(10)
    connection.transport.abortConnection()
    await connection.lost()
    connection.far.reads = True
    await connection.until(lambda: connection.far.is_over)
    assert connection.far.received == b"arrived"


@pytest_twisted.ensureDeferred
async def test_a_connection_ends_once_however_often_it_is_told_to(connection: Connection) -> None:
    connection.transport.loseConnection()
    connection.transport.loseConnection()
    connection.transport.abortConnection()
    connection.transport.abortConnection()
    connection.far.fin()
    await connection.lost()
    if not connection.is_secure:  # by TLS, these raise AttributeError once it is lost
        connection.transport.abortConnection()
        connection.transport.loseConnection()
    await connection.lost()


@pytest_twisted.ensureDeferred
async def test_bytes_written_after_an_abort_go_nowhere(connection: Connection) -> None:
    connection.transport.abortConnection()
    connection.transport.write(b"to nobody")
    await connection.lost()
    await connection.until(lambda: connection.far.is_over)
    assert connection.far.received == b""


@pytest_twisted.ensureDeferred
async def test_bytes_written_after_the_loss_go_nowhere(connection: Connection) -> None:
    connection.far.reset()
    await connection.lost()
    connection.transport.write(b"to nobody")
    connection.transport.writeSequence([b"to", b"nobody"])
    await connection.lost()


# -- its addresses -------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_transport_knows_the_addresses_of_its_two_ends(connection: Connection) -> None:
    host, peer = connection.transport.getHost(), connection.transport.getPeer()
    for address in (host, peer):
        assert isinstance(address, IPv4Address)
        assert (address.type, address.host) == ("TCP", "127.0.0.1")
    assert host.port != peer.port


@pytest_twisted.ensureDeferred
async def test_a_lost_transport_knows_its_peers_address_and_not_its_own(
    connection: Connection,
) -> None:
    peer = connection.transport.getPeer()
    connection.far.reset()
    await connection.lost()
    assert connection.transport.getPeer() == peer
    with pytest.raises(AttributeError):
        connection.transport.getHost()
