"""What is no HTTP is told by its first bytes."""

from __future__ import annotations

import ssl

import pytest

from relay.http.foreign import LONGEST, PROXY_PROTOCOL, SPEAKS_TLS, foreign, is_tls
from relay.http.head import HeadReader
from relay.rules.refusals import Refused


def client_hello(**versions: ssl.TLSVersion) -> bytes:
    """What a TLS client sends first."""
    context = ssl.create_default_context()
    for name, version in versions.items():
        setattr(context, name, version)
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


HELLOS = [
    client_hello(),
    client_hello(maximum_version=ssl.TLSVersion.TLSv1_2),
    client_hello(minimum_version=ssl.TLSVersion.TLSv1_3),
]

H2 = "This listener speaks HTTP/1.1; do not use HTTP/2 with it."
NO_HTTP = "What came is no HTTP."
PROXY_2 = b"\r\n\r\n\x00\r\nQUIT\n"

FOREIGN = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01", SPEAKS_TLS),
    "TLS, its first two bytes": (b"\x16\x03", SPEAKS_TLS),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", H2),
    "PROXY by TCP4": (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n", PROXY_PROTOCOL),
    "PROXY by TCP6": (b"PROXY TCP6 ::1 ::1 1 2\r\n", PROXY_PROTOCOL),
    "PROXY, unknown": (b"PROXY UNKNOWN\r\n", PROXY_PROTOCOL),
    "PROXY, version 2": (PROXY_2 + b"\x21\x11\x00\x0c" + bytes(12), PROXY_PROTOCOL),
    "16 without 03": (b"\x16\x02", NO_HTTP),
    "SOCKS5": (b"\x05\x01\x00", NO_HTTP),
    "SOCKS4": (b"\x04\x01\x00\x50", NO_HTTP),
    "MQTT": (b"\x10\x0c\x00\x04MQTT", NO_HTTP),
    "PostgreSQL": (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", NO_HTTP),
    "a WebSocket frame": (b"\x81\x80", NO_HTTP),
    "NULs": (bytes(20), NO_HTTP),
    "JSON": (b'{"type":', NO_HTTP),
}

LINES = {
    "SSH": b"SSH-2.0-OpenSSH_9.7\r\n",
    "SMTP": b"EHLO relay.test\r\n",
    "Redis": b"*1\r\n",
    "HTTP/0.9": b"GET /\n",
    "RTSP": b"OPTIONS rtsp://relay.test RTSP/1.0\r\n",
    "FTP": b"USER anonymous\r\n",
}


def read(data: bytes) -> tuple[HeadReader, str | None]:
    """A reader that was given the data, and the message of its refusal."""
    reader = HeadReader(1000, 10)
    try:
        reader.feed(data)
    except Refused as refused:
        return reader, refused.refusal.message
    return reader, None


@pytest.mark.parametrize(("data", "said"), FOREIGN.values(), ids=FOREIGN)
def test_another_protocol_is_refused_at_its_first_bytes(data: bytes, said: str) -> None:
    assert foreign(data[:LONGEST]) == said
    reader, told = read(data)
    assert told == said
    assert reader.is_tls is (said == SPEAKS_TLS)


@pytest.mark.parametrize("hello", HELLOS, ids=len)
def test_a_clients_first_bytes_of_tls_are_known(hello: bytes) -> None:
    assert is_tls(hello[:LONGEST])


@pytest.mark.parametrize("data", LINES.values(), ids=LINES)
def test_another_protocol_is_refused_at_the_end_of_its_first_line(data: bytes) -> None:
    assert read(data[:-1])[1] is None or data == b"GET /\n"
    assert read(data)[1] == "The request line is not METHOD /path HTTP/1.1."


@pytest.mark.parametrize(
    "data",
    [b"", b"G", b"PRI", b"PROXY /x HTTP/1.1\r\n", b"PRI /x HTTP/1.1\r\nHost: x\r\n", b"\x16"],
)
def test_what_may_be_http_is_waited_for(data: bytes) -> None:
    reader, told = read(data)
    assert told is None
    assert not reader.is_tls
