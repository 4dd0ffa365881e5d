"""What the kernel says of the other end of a TCP connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from relay.delivery import Delivery


@dataclass
class Transport:
    socket: socket.socket


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection on loopback, with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(server.getsockname()) as writer:
            reader, _ = server.accept()
            with reader:
                yield writer, reader


def fill(writer: socket.socket) -> int:
    """Write until the kernel takes no more."""
    writer.setblocking(False)
    written = 0
    try:
        while True:
            written += writer.send(b"x" * 65536)
    except BlockingIOError:
        return written


def drain(reader: socket.socket, size: int) -> None:
    while size:
        size -= len(reader.recv(min(size, 65536)))


def test_it_progresses_as_the_other_end_reads(ends: tuple[socket.socket, socket.socket]) -> None:
    writer, reader = ends
    written = fill(writer)
    delivery, transport = Delivery(), Transport(writer)
    delivery.progressed(transport)
    assert not delivery.progressed(transport), "nobody reads"
    drain(reader, written // 2)
    assert delivery.progressed(transport)


def test_with_nothing_waiting_there_is_nothing_to_wait_for(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    assert not Delivery().progressed(Transport(ends[0]))


def test_where_the_kernel_does_not_tell_nothing_progresses() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.send(b"x")
        assert not Delivery().progressed(Transport(left))
    assert not Delivery().progressed(object())
