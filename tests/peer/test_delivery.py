"""What the kernel says of the other end of a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from relay.peer.delivery import Written, arrived, has_arrived, written

Ends = tuple[socket.socket, socket.socket]


@dataclass
class Line:
    """The part of a line that is looked at."""

    socket: socket.socket | None
    queued: int = 0


@pytest.fixture(params=["tcp", "unix"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """Two ends of a connection, with small buffers."""
    if request.param == "unix":
        writer, reader = socket.socketpair()
        with writer, reader:
            yield writer, reader
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.create_connection(server.getsockname()) as writer:
            reader, _ = server.accept()
            with reader:
                yield writer, reader


def fill(writer: socket.socket) -> int:
    """Write until the kernel takes no more."""
    writer.setblocking(False)
    count = 0
    try:
        while True:
            count += writer.send(b"x" * 65536)
    except BlockingIOError:
        return count


def drain(reader: socket.socket, size: int) -> None:
    while size:
        size -= len(reader.recv(min(size, 65536)))


def known(line: Line) -> Written:
    found = written(line)  # type: ignore[arg-type]  # no more than a part of one
    assert found is not None
    return found


def test_bytes_that_the_other_end_reads_count_as_taken(ends: Ends) -> None:
    writer, reader = ends
    count = fill(writer)
    line = Line(writer)
    before = known(line)
    assert before.waiting > 0
    assert known(line).taken_since(before) == 0, "nobody reads"
    drain(reader, count // 2)
    assert known(line).taken_since(before) >= count // 4


def test_when_all_is_read_no_byte_waits(ends: Ends) -> None:
    writer, reader = ends
    drain(reader, fill(writer))
    assert known(Line(writer)).waiting == 0


def test_bytes_that_the_kernel_has_not_taken_count_as_waiting(ends: Ends) -> None:
    assert known(Line(ends[0], queued=5)).waiting == 5


def test_bytes_that_a_layer_above_refills_count_as_taken() -> None:
    assert Written(200, None).taken_since(Written(100, None)) == 100


def test_bytes_that_have_arrived_unread_are_seen(ends: Ends) -> None:
    writer, reader = ends
    assert not has_arrived(Line(reader))  # type: ignore[arg-type]
    writer.send(b"x")
    assert has_arrived(Line(reader))  # type: ignore[arg-type]
    reader.recv(1)
    assert not has_arrived(Line(reader))  # type: ignore[arg-type]


def test_what_came_by_tcp_is_counted_read_or_not(ends: Ends) -> None:
    writer, reader = ends
    counts = reader.family == socket.AF_INET
    assert arrived(Line(reader)) == 0  # type: ignore[arg-type]
    writer.send(b"12345")
    assert arrived(Line(reader)) == 5 * counts  # type: ignore[arg-type]
    reader.recv(5)
    writer.send(b"6")
    assert arrived(Line(reader)) == 6 * counts  # type: ignore[arg-type]


def test_without_an_open_socket_delivery_is_unknown(ends: Ends) -> None:
    ends[0].close()
    for line in (Line(ends[0]), Line(None)):
        assert written(line) is None  # type: ignore[arg-type]
        assert not has_arrived(line)  # type: ignore[arg-type]
        assert arrived(line) == 0  # type: ignore[arg-type]
