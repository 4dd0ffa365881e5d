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
"""Attributes that Autobahn sets for the handshake and keeps."""

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

    def __init__(self) -> None:
        """Past Autobahn's, which makes two Deferreds and tables of events nobody listens to."""

    def connectionMade(self) -> None:
        """Begin, without collecting details of the transport that nobody reads."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self._connectionMade()

    def _connectionMade(self) -> None:
        """Past Autobahn's, which sets 40 attributes for each connection: see L{INITIAL}."""

    def _connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # wrong there
        self.state = self.STATE_CLOSED
        # Past Autobahn's client and server, which make texts for debug lines nobody reads.
        WebSocketProtocol._connectionLost(self, reason)  # type: ignore[arg-type]

    def forget_handshake(self) -> None:
        """Let go of the headers that Autobahn keeps, in several forms, for good."""
        attributes = vars(self)
        for name in HANDSHAKE:
            attributes.pop(name, None)

    def _onOpen(self) -> None:
        self.onOpen()

    def onMessageFrameData(self, payload: bytes) -> None:
        """Keep nothing of a message behind a Close: nobody gets it, and it may be large."""
        if self.state == self.STATE_OPEN:
            super().onMessageFrameData(payload)

    def onMessageEnd(self) -> None:
        """
        Hand a whole message on.

        Autobahn's own fires a signal by a Deferred for each, which nobody listens to, and it checks
        UTF-8 before, at 18 µs for 8 kB where Python takes 1.
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
    """In place of a Deferred that Autobahn fires."""

    def callback(self, result: object) -> None:
        """Nobody waits."""


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
The state of a new connection, as class attributes: on each instance they take 2 kB and 20 µs.

All but a few are constants. Those are never used (the queue for chopped writes, the UTF-8
validator), or never read (the counts of traffic).
"""
for _name, _value in INITIAL.items():
    setattr(BareWebSocket, _name, _value)


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
