"""Autobahn's protocol without what a relay has no use for: its options, timers, and debug lines."""

from __future__ import annotations

from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import ITCPTransport

from relay.quiet import QuietLogger


class BareWebSocket(WebSocketProtocol):
    """Autobahn with every option as a class attribute, to be mixed in before its own classes."""

    transport: Any  # TCP, TLS or local: no interface names all that they share
    factory: Any
    log = QuietLogger()

    # With CONFIG_ATTRS empty, Autobahn does not pretty-print all options for each connection (60 %
    # of a handshake's CPU).
    CONFIG_ATTRS = ()
    logOctets = logFrames = trackTimings = False
    utf8validateIncoming = applyMask = True
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

    def _onOpen(self) -> None:
        self.onOpen()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write, without Autobahn's debug line for each message."""
        self.transport.write(data)
