"""What lacks here when a connection fails, and what the operator must raise."""

from __future__ import annotations

import errno
import socket

import pytest
from twisted.internet.error import ConnectBindError, ConnectError, ConnectionRefusedError

from relay.rules.shortage import NoThread, shortage_in


@pytest.mark.parametrize(
    ("number", "name", "says"),
    [
        (errno.EMFILE, "EMFILE", "files"),
        (errno.ENFILE, "ENFILE", "fs.file-max"),
        (errno.EADDRNOTAVAIL, "EADDRNOTAVAIL", "ip_local_port_range"),
        (errno.ENOBUFS, "ENOBUFS", "memory"),
        (errno.ENOMEM, "ENOMEM", "memory"),
    ],
)
@pytest.mark.parametrize("make", [OSError, ConnectError, ConnectBindError])
def test_a_shortage_has_a_name_and_a_remedy(
    make: type[Exception], number: int, name: str, says: str
) -> None:
    error = make(number, "") if make is OSError else make(number)
    shortage = shortage_in(error)
    assert shortage is not None
    assert shortage.error == name
    assert says in shortage.message
    assert "operator must" in shortage.message


def test_a_thread_that_cannot_be_started_is_a_shortage() -> None:
    shortage = shortage_in(NoThread("can't start new thread"))
    assert shortage is not None
    assert (shortage.error, "threads" in shortage.message) == ("NoThread", True)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectError(errno.ENETUNREACH),
        ConnectError(),
        OSError(),
        OSError(errno.EAGAIN, "leftover of a look-up"),
        socket.gaierror(socket.EAI_AGAIN, "temporary failure"),
        UnicodeError("label too long"),
    ],
)
def test_any_other_error_is_no_shortage_of_the_relays(error: Exception) -> None:
    assert shortage_in(error) is None
