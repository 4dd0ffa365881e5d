"""How long nothing has crossed, as the kernel tells it."""

from __future__ import annotations

import socket

import pytest

from relay.wire.quiet import quiet_seconds


@pytest.mark.parametrize("reset", [False, True])
def test_what_has_just_crossed_by_tcp_is_known_also_when_the_other_end_is_gone(reset: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        with ours:
            theirs.sendall(b"x")
            assert ours.recv(1)
            if reset:
                ours.sendall(b"unread")
            theirs.close()
            try:
                assert ours.recv(1) == b""
            except ConnectionResetError:
                assert reset
            quiet = quiet_seconds(ours)
    assert quiet is not None
    assert 0 <= quiet < 60


def test_by_a_unix_socket_or_a_closed_one_it_is_not_known() -> None:
    ours, theirs = socket.socketpair()
    with theirs, ours:
        assert quiet_seconds(ours) is None
    assert quiet_seconds(ours) is None
    assert quiet_seconds(None) is None
