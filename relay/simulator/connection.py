"""
Autobahn's server protocol with deadlines: it gives up a client that does not go on, and sends
nothing to one that does not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.peer.quiet import QuietLogger
from relay.simulator.faults import HttpRefusal, http_answer
from relay.timing.deadline import Deadline

HEAD_SECONDS = 10.0
"""Seconds a client has for its whole request head."""

HEAD_BYTES = 16 * 1024
"""Most bytes of a request head that is not whole."""

STALL_SECONDS = 30.0
"""Seconds a client may leave what was sent unread."""

LINGER_SECONDS = 5.0
"""Seconds a client has to end a connection that is being closed."""

MAX_MESSAGE = 24 * 1024 * 1024
"""Most bytes of a message: enough for 15 MiB of audio in base64."""

OPTIONS: Mapping[str, Any] = {
    "versions": [13],
    "webStatus": False,
    "failByDrop": False,
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
    "autoPingInterval": 0,
    "maxMessagePayloadSize": MAX_MESSAGE,
    # Without this option, Autobahn would reset it to False.
    "allowNullOrigin": True,
}
"""What a factory of connections sets, for Autobahn's C{setProtocolOptions}."""


@implementer(IPushProducer)
class Connection(WebSocketServerProtocol):
    """
    One connection, from its first byte to its last.

    It is the push producer of its own transport: while the client does not read, it reads nothing
    either. A subclass sends nothing while it is C{_choked}.

    @ivar _patience: runs while the client has to do something, and ends the connection if it does
        not. It is none of Autobahn's timers: they go through txaio's global loop, and fire on whole
        seconds.
    """

    log = QuietLogger()
    transport: Any  # ITCPTransport and IConsumer

    def __init__(self, clock: IReactorTime, new_id: Callable[[str], str]) -> None:
        """
        @param new_id: makes an unused id that begins with the given word.
        """
        super().__init__()
        self._new_id = new_id
        self._reading = True
        self._choked = False
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

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """
        Answer with a whole HTTP response. Autobahn's has no body and no length, and has C{reason}
        in its status line, CR LF included.
        """
        # Autobahn also calls this for a Deferred that is cancelled once the connection is lost.
        if self.state == self.STATE_CONNECTING:
            self.sendData(http_answer(self._refused(code), self._new_id("req")))
            self.dropConnection()

    def _refused(self, code: int) -> HttpRefusal:
        """The answer to a handshake that fails with this status."""
        text = "Open a WebSocket here, of version 13."
        return HttpRefusal(code, "invalid_request_error", None, text)

    def onOpen(self) -> None:
        """The 101 is sent."""
        self.transport.registerProducer(self, True)

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

    def pauseProducing(self) -> None:
        """The transport's buffer is full: send nothing, and start the stall deadline."""
        self._choked = True
        if self.state == self.STATE_OPEN:
            # Nor read anything: the answers to Pings would fill the buffer further. A paused
            # transport does not see that the client is gone, so there is a deadline.
            self._read(False)
            self._patience.set(STALL_SECONDS, self._abort)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        self._choked = False
        if self.state == self.STATE_OPEN:
            self._patience.clear()
            self._go_on()

    def stopProducing(self) -> None:
        """Does nothing: C{connectionLost} tells of the loss too."""

    def _go_on(self) -> None:
        """The client reads again: send what was held back, and read on."""

    def _abort(self) -> None:
        # Not by dropConnection, which does nothing for a connection that is being closed.
        self.state = self.STATE_CLOSED
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timer."""
        self._patience.clear()
        super().connectionLost(reason)
