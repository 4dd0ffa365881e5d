"""A TLS connection by its socket and OpenSSL."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.lines.hub import Hub
from relay.lines.interfaces import LineEnd, Received
from relay.lines.sockets import READ, SocketLine

RECORD = 16384
"""Bytes of one TLS record: pyOpenSSL's C{send} and C{recv} move no more in a call."""


class TlsLine(SocketLine):
    """
    A L{SocketLine} that encrypts, in place of Twisted's TLS protocol on top of the transport.

    That protocol keeps the connection's state (C{getHandle} is public), so that it can end it.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        hub: Hub | IReactorFDSet,
        tls: TLSMemoryBIOProtocol,
        end: LineEnd,
        received: Received,
    ) -> None:
        super().__init__(reactor, hub, tls.transport, end, received)
        self._tls = tls
        self._connection: Any = tls.getHandle()
        self._broken = False

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt and write."""
        try:
            if len(data) <= RECORD:
                self._connection.send(data)
            else:
                view = memoryview(data)
                for start in range(0, len(data), RECORD):
                    self._connection.send(view[start : start + RECORD])
        except SSL.Error:
            # What TLS has given up; also a wait for a renegotiation, which none allows any more.
            self._broken = True
            self._reactor.addWriter(self)  # it tells, in a turn of its own
            return
        self._flush()

    def _flush(self) -> None:
        """Write what OpenSSL has to send."""
        size = READ
        while size == READ:
            try:
                encrypted = self._connection.bio_read(READ)
            except SSL.WantReadError:
                return
            super().write(encrypted)
            size = len(encrypted)

    def hang_up(self) -> None:
        """End the connection once all is written, by a C{close_notify} first."""
        self._leave()
        self._transport.writeSequence([bytes(data) for data in self._queue])
        self._transport.resumeProducing()
        self._tls.loseConnection()

    def abort(self) -> None:
        """Drop the connection."""
        self._leave()
        self._tls.abortConnection()

    def doRead(self) -> Any:
        """Read, decrypt, and send what OpenSSL answers by itself, such as new keys."""
        try:
            data = self._recv(READ)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self._connection.bio_write(data)
        return self._decrypt()

    def _decrypt(self) -> Exception | None:
        connection = self._connection
        try:
            while True:
                self.received(connection.recv(RECORD))
        except SSL.WantReadError:
            if not self._over:
                self._flush()
            return None
        except SSL.ZeroReturnError:
            return CONNECTION_DONE
        except SSL.Error:
            return CONNECTION_LOST

    def doWrite(self) -> Any:
        """Write what waits."""
        return CONNECTION_LOST if self._broken else super().doWrite()
