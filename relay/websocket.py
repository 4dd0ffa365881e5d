"""Autobahn's protocol without what a relay has no use for: its options, timers, and debug lines."""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure

from relay.quiet import QuietLogger

PART = 65536
"""Bytes that are decoded at once."""


class BareWebSocket(WebSocketProtocol):
    """Autobahn with every option as a class attribute, to be mixed in before its own classes."""

    transport: Any  # TCP, TLS or local: no interface names all that they share
    factory: Any
    log = QuietLogger()

    # With CONFIG_ATTRS empty, Autobahn does not pretty-print all options for each connection (60 %
    # of a handshake's CPU).
    CONFIG_ATTRS = ()
    logOctets = logFrames = trackTimings = False
    applyMask = True
    utf8validateIncoming = False  # done in onMessageEnd
    maxFramePayloadSize = 0
    autoFragmentSize = 0
    failByDrop = False  # with True, 1002, 1007 and 1009 become a reset
    echoCloseCodeReason = True
    tcpNoDelay = True
    # None of Autobahn's timers: they go through txaio's global loop, and fire on whole seconds.
    openHandshakeTimeout = closeHandshakeTimeout = serverConnectionDropTimeout = 0
    autoPingInterval = autoPingTimeout = 0
    autoPingRestartOnAnyTraffic = False

    def connectionMade(self) -> None:
        """Begin, without collecting details of the transport that nobody reads."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._connectionMade()

    # Both past Autobahn's own client and server, which make texts for debug lines nobody reads.

    def _connectionMade(self) -> None:
        WebSocketProtocol._connectionMade(self)

    def _connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # wrong there
        # Else Autobahn fires is_closed with this protocol: a reference cycle.
        self.state = self.STATE_CLOSED
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]

    def _onOpen(self) -> None:
        self.onOpen()

    def onMessageEnd(self) -> None:
        """
        Hand a whole message on.

        Autobahn's own fires a signal by a Deferred for each, which nobody listens to, and it checks
        UTF-8 before, at 18 µs for 8 kB where Python takes 1.
        """
        payload = b"".join(self.message_data)
        self.message_data = []
        if self.failedByMe:
            return
        if not self.message_is_binary and not is_utf8(payload):
            self._invalid_payload("text is not UTF-8")
            return
        self.onMessage(payload, self.message_is_binary)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write, without Autobahn's debug line for each message."""
        self.transport.write(data)


def is_utf8(text: bytes) -> bool:
    """Whether it is (RFC 3629), with no more memory than for a part of it."""
    try:
        if len(text) <= PART:
            text.decode()
        else:
            _decode_in_parts(text)
    except UnicodeDecodeError:
        return False
    return True


def _decode_in_parts(text: bytes) -> None:
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(text), PART):
        decoder.decode(text[start : start + PART])
    decoder.decode(b"", final=True)
