"""
Autobahn's server protocol with deadlines: it gives up a client that does not go on.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from relay.peer.quiet import QuietLogger
from relay.timing.deadline import Deadline

HEAD_SECONDS = 10.0
"""Seconds a client has for its whole request head."""

HEAD_BYTES = 16 * 1024
"""Most bytes of a request head that is not whole."""

STALL_SECONDS = 30.0
"""Seconds a client may leave what was sent unread."""

LINGER_SECONDS = 5.0
"""Seconds a client has to end a connection that is being closed."""


class Connection(WebSocketServerProtocol):
    """
    One connection, from its first byte to its last.

    @ivar _patience: runs while the client has to do something, and ends the connection if it does
        not. It is none of Autobahn's timers: they go through txaio's global loop, and fire on whole
        seconds.
    """

    log = QuietLogger()
    transport: Any  # ITCPTransport and IConsumer

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._reading = True
        self._patience = Deadline(clock)

    def connectionMade(self) -> None:
        """Wait for a head, but not for ever."""
        self._patience.set(HEAD_SECONDS, self._abort)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Feed Autobahn, without its debug line for each chunk, and with a limit for the head."""
        self._dataReceived(data)
        if self.state == self.STATE_CONNECTING and len(self.data) > HEAD_BYTES:
            self._abort()

    def _read(self, wanted: bool) -> None:
        """Read on, or read nothing for now."""
        if wanted != self._reading:
            self._reading = wanted
            (self.transport.resumeProducing if wanted else self.transport.pauseProducing)()

    def sendCloseFrame(
        self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False
    ) -> None:
        """Send a Close, and wait for its answer, but not for ever."""
        super().sendCloseFrame(code, reasonUtf8, isReply)
        self._linger()

    def dropConnection(self, abort: bool = False) -> None:
        """Close behind what was sent: Autobahn would drop that when two Closes cross."""
        super().dropConnection(abort=False)
        self._linger()

    def _linger(self) -> None:
        self._patience.set(LINGER_SECONDS, self._abort)
        # A paused transport sees neither the client's Close nor the end of the connection.
        self._read(True)

    def _abort(self) -> None:
        # Not by dropConnection, which does nothing for a connection that is being closed.
        self.state = self.STATE_CLOSED
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timer."""
        self._patience.clear()
        super().connectionLost(reason)
