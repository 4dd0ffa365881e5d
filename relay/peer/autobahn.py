"""Autobahn's protocol without what a relay has no use for: its options, timers, and debug lines."""

from __future__ import annotations

from codecs import getincrementaldecoder
from types import SimpleNamespace
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure

from relay.peer.quiet import QuietLogger

HANDSHAKE = (
    "http_headers",
    "http_request_data",
    "http_request_host",
    "http_request_params",
    "http_request_path",
    "http_request_uri",
    "http_response_data",
    "http_status_line",
    "websocket_extensions",
    "websocket_key",
    "websocket_origin",
    "websocket_protocols",
    "_wskey",
)
"""Attributes that Autobahn sets for the handshake, and keeps as long as the connection."""

PART = 65536
"""Bytes of a text that are decoded at once."""


class BareWebSocket(WebSocketProtocol):
    """
    Autobahn's protocol with every option as a class attribute.

    To be mixed in before Autobahn's own client or server class.
    """

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
    # No timer of Autobahn's runs: they go through txaio's global loop and fire on whole seconds.
    openHandshakeTimeout = closeHandshakeTimeout = serverConnectionDropTimeout = 0
    autoPingInterval = autoPingTimeout = 0
    autoPingRestartOnAnyTraffic = False

    def __init__(self) -> None:
        """Skips Autobahn's, which makes two Deferreds and tables of events that nothing uses."""

    def connectionMade(self) -> None:
        """Begins, without Autobahn's details of the transport, which nothing reads."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._connectionMade()

    def _connectionMade(self) -> None:
        """Skips Autobahn's, which sets 40 attributes for each connection: see L{INITIAL}."""

    def _connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # wrong there
        self.state = self.STATE_CLOSED
        # Skips Autobahn's client and server, which format debug lines that are never logged.
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]

    def forget_handshake(self) -> None:
        """Delete the headers of the handshake, which Autobahn keeps in several forms."""
        attributes = vars(self)
        for name in HANDSHAKE:
            attributes.pop(name, None)

    def _onOpen(self) -> None:
        self.onOpen()

    def onMessageFrameData(self, payload: bytes) -> None:
        """Keep nothing of a message behind a Close: it goes nowhere, and it may be large."""
        if self.state == self.STATE_OPEN:
            super().onMessageFrameData(payload)

    def onMessageEnd(self) -> None:
        """
        Hand a whole message on.

        Autobahn's own method fires a Deferred for each message, which nothing waits for. Its check
        of UTF-8 takes 18 µs for 8 kB; Python's takes 1.
        """
        payload = b"".join(self.message_data)
        self.message_data = []
        if self.state != self.STATE_OPEN:
            return
        if not self.message_is_binary and not is_utf8(payload):
            self._invalid_payload("text is not UTF-8")
            return
        self.onMessage(payload, self.message_is_binary)


class _NoFuture:
    """Stands in for a Deferred that Autobahn fires."""

    def callback(self, result: object) -> None:
        """Does nothing: nothing waits for it."""


def _initial() -> dict[str, Any]:
    """What Autobahn sets on a protocol when it is made and connected."""
    first: Any = WebSocketProtocol()
    first.CONFIG_ATTRS = []
    first.trackTimings, first.openHandshakeTimeout = False, 0
    first.log, first.factory = QuietLogger(), SimpleNamespace(isServer=False, proxy=None)
    WebSocketProtocol._connectionMade(first)
    del first.log, first.factory
    state = {name: value for name, value in vars(first).items() if not hasattr(BareWebSocket, name)}
    return {**state, "is_open": _NoFuture(), "is_closed": _NoFuture()}


INITIAL = _initial()
"""
The attributes that Autobahn sets on each new connection. Here they are set once, on the class: on
each instance they would take 2 kB and 20 µs.

Most of them are constants. The mutable ones may be shared, because the relay never uses them (the
queue for chopped writes, the UTF-8 validator) or never reads them (the counts of traffic).
"""
for _name, _value in INITIAL.items():
    setattr(BareWebSocket, _name, _value)


def is_utf8(text: bytes) -> bool:
    """
    Whether C{text} is UTF-8 (RFC 3629).

    A long text is decoded in parts, so that no decoded copy of all of it is in memory.
    """
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
