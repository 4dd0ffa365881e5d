"""One accepted connection, and how it ends."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger

from relay.timing.bulkhead import bulkhead
from relay.timing.deadline import Deadline

_log = Logger()


class Connection(Protocol):
    """
    One accepted connection.

    @ivar name: what the log calls it.
    @param linger_seconds: how long a connection that is closing may take; then it is cut.
    """

    transport: Any  # TCP, TLS or local: no interface names all that they share

    def __init__(self, name: str, clock: IReactorTime, linger_seconds: float) -> None:
        self.name = name
        self._linger_seconds = linger_seconds
        self._end = Deadline(clock)
        self._closing = False

    @property
    def is_secure(self) -> bool:
        """Whether it is by TLS."""
        return ISSLTransport.providedBy(self.transport)

    def failed(self) -> None:
        """The relay itself failed here, with the exception being handled now."""
        _log.failure("request {id} failed", id=self.name)
        self.abort()

    def abort(self) -> None:
        """Drop the connection now."""
        self.transport.abortConnection()

    def finish(self, last: bytes) -> None:
        """Write the last bytes, and close."""
        self._closing = True
        self._end.set(self._linger_seconds, self._check_end)
        self.transport.write(last)
        # Closing a socket with unread bytes resets it, and the answer may be lost. So close the
        # sending half, and let the client close the other. TLS has no half to close.
        if ITCPTransport.providedBy(self.transport) and not self.is_secure:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def look_for_end(self) -> None:
        """From now on, cut the connection if it takes too long to close."""
        self._end.set(self._linger_seconds, self._check_end)

    @bulkhead
    def _check_end(self) -> None:
        """
        Drop a connection that is still closing after C{linger_seconds}: C{loseConnection} has no
        deadline. If it is not closing yet, look again later.
        """
        if self._closing:
            self.transport.abortConnection()
        else:
            self._closing = self.transport.disconnecting
            self.look_for_end()
