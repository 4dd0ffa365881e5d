"""Clients that do not speak HTTP to a listener, or not through its TLS."""

from __future__ import annotations

import pytest
from memory import World
from OpenSSL.SSL import Error
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from relay.downstream.handshake import fault_of_handshake
from relay.http.foreign import PROXY_PROTOCOL, SPEAKS_TLS

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("cut", [1, 2, len(HELLO)])
def test_tls_on_a_plain_listener_is_ended_at_once_without_an_answer(cut: int) -> None:
    world = World()
    line = world.accept()
    line.deliver(HELLO[:cut])
    line.deliver(HELLO[cut:])
    assert line.take() == b""
    assert line.socket.is_ended
    (record,) = world.listener.holds
    assert (record.outcome, record.detail) == ("bad_request", SPEAKS_TLS)
    line.fin()
    assert line.lost is not None
    assert world.is_clean()


def test_tls_of_a_client_that_never_leaves_is_cut() -> None:
    world = World()
    line = world.accept()
    line.deliver(HELLO)
    line.take()
    world.advance(4)
    assert line.lost is not None
    assert world.is_clean()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"This listener speaks HTTP/1.1"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", PROXY_PROTOCOL.encode()),
        (b"\x05\x01\x00", b"What came is no HTTP."),
    ],
)
def test_another_protocol_is_refused_in_words_at_once(data: bytes, said: bytes) -> None:
    world = World()
    line = world.accept()
    line.deliver(data)
    answer = line.take()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert said in answer
    assert world.listener.holds[0].detail is not None


def failed(*reasons: str) -> Failure:
    return Failure(Error([("SSL routines", "", reason) for reason in reasons]))


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (failed("http request"), "a client speaks plain HTTP to this listener, which has TLS"),
        (failed("https proxy request"), "a client speaks plain HTTP"),
        (failed("wrong version number"), "a client speaks no TLS"),
        (failed("other", "http request"), "a client speaks plain HTTP"),
    ],
)
def test_what_is_no_tls_leaves_a_record(reason: Failure, said: str) -> None:
    world = World()
    world.accept().protocol.connectionLost(reason)
    (record,) = world.listener.holds
    assert record.outcome == "bad_request"
    assert record.detail is not None
    assert record.detail.startswith(said)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("ssl/tls alert unknown ca", "a client does not accept this listener's certificate"),
        ("tlsv1 alert unknown ca", "a client does not accept this listener's certificate"),
        ("sslv3 alert bad certificate", "a client does not accept this listener's certificate"),
        ("unsupported protocol", "a client has no TLS version or cipher in common"),
        ("no shared cipher", "a client has no TLS version or cipher in common"),
        ("bad record type", "the TLS handshake of a client failed"),
    ],
)
def test_a_tls_handshake_that_failed_leaves_a_record_with_openssls_reason(
    reason: str, said: str
) -> None:
    world = World()
    world.accept().protocol.connectionLost(failed(reason))
    (record,) = world.listener.holds
    assert record.outcome == "bad_request"
    assert record.detail is not None
    assert record.detail.startswith(said)
    assert f"({reason})" in record.detail


OTHERS = [
    Failure(ConnectionLost()),
    Failure(Error()),
    failed("unexpected eof while reading"),
    failed(),
]


@pytest.mark.parametrize("reason", OTHERS)
def test_any_other_loss_leaves_no_record(reason: Failure) -> None:
    assert fault_of_handshake(reason) is None


def test_an_error_of_tls_after_the_handshake_is_not_taken_for_one() -> None:
    world = World()
    line = world.accept()
    line.deliver(b"GET /")
    line.protocol.connectionLost(failed("http request"))
    assert world.listener.holds == []
