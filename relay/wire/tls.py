"""A line that uses the socket and OpenSSL of its TLS connection."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.wire.epoll import Hub
from relay.wire.interfaces import LineEnd, Received
from relay.wire.sockets import READ, SocketLine

RECORD = 16384
"""Most bytes of one TLS record: pyOpenSSL's C{send} and C{recv} move no more in a call."""

AT_ONCE = 32768
"""
Most bytes to read in one turn. OpenSSL takes all of them in one call, and a record of 27 bytes may
ask for new keys, which costs 20 µs: 64 KiB of them take more than 50 ms.
"""

OVERHEAD = 256
"""An upper bound for the bytes that encryption adds to a record."""


class TlsLine(SocketLine):
    """
    A L{SocketLine} that encrypts, in place of Twisted's TLS protocol on top of the transport.

    Both use the same OpenSSL connection (C{getHandle} is public), so Twisted's can still end it.
    """

    def __init__(
        self,
        hub: Hub | IReactorFDSet,
        tls: TLSMemoryBIOProtocol,
        end: LineEnd,
        received: Received,
    ) -> None:
        super().__init__(hub, tls.transport, end, received)
        self._tls = tls
        self._connection: Any = tls.getHandle()

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt and write."""
        if self._over or self._broken:
            return
        send = self._connection.send
        size = len(data)
        try:
            if size <= RECORD:
                send(data)
            else:
                view = memoryview(data)
                for start in range(0, size, RECORD):
                    send(view[start : start + RECORD])
        except SSL.Error:
            # TLS has given up. A wait for a renegotiation raises too, but nothing allows one today.
            self._break()
            return
        except Exception:
            self._break()
            self._end.failed()
            return
        self._flush(min(size + OVERHEAD, READ))

    def _flush(self, most: int) -> None:
        """Write what OpenSSL has to send, C{most} bytes at a time."""
        while True:
            try:
                encrypted = self._connection.bio_read(most)
            except SSL.WantReadError:
                return
            super().write(encrypted)
            if len(encrypted) < most:
                return

    def half_close(self) -> None:
        """Send C{close_notify}, and read on until the other end's: that is how TLS ends."""
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection once all is written; C{close_notify} goes first."""
        if not self._over:
            self._give_back()
            self._transport.resumeProducing()  # for the other end's close_notify
            self._tls.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self._leave()
        self._tls.abortConnection()

    def _quiet(self) -> None:
        """Not known: by TLS an end has bytes of its own (C{close_notify})."""

    def doRead(self) -> Any:
        """Read and decrypt; send what OpenSSL answers by itself, such as new keys."""
        try:
            data = self._recv(self._most)
            if not data:
                return CONNECTION_DONE
            self.has_more = len(data) == self._most
            if self.has_more:
                self._most = min(2 * self._most, AT_ONCE)
            self._connection.bio_write(data)
            return self._decrypt(len(data) if _is_one_record(data) else 0)
        except BlockingIOError:
            return None
        except (OSError, SSL.Error):
            return CONNECTION_LOST
        except Exception:
            return self._failed()

    def _decrypt(self, one: int) -> Exception | None:
        """
        Hand on what OpenSSL has decrypted.

        @param one: the size of what came, if that was one whole record; else 0.
        """
        connection = self._connection
        try:
            if one:
                self.received(connection.recv(one))
                return None
            while True:
                self.received(connection.recv(RECORD))
        except SSL.WantReadError:
            if not self._over:
                self._flush(READ)
            return None
        except SSL.ZeroReturnError:
            return CONNECTION_DONE
        except SSL.Error:
            return CONNECTION_LOST


def _is_one_record(data: bytes) -> bool:
    """
    Whether this is one whole record of data (RFC 8446, 5.1), as most messages come.

    Then one call reads all of it, and OpenSSL has nothing to answer. Without this test, finding
    that out would cost two exceptions. A part of a larger record looks the same with a chance of
    one in 2**40; then some data would wait until the next read.
    """
    return data[:3] == b"\x17\x03\x03" and len(data) == 5 + int.from_bytes(data[3:5], "big")
