"""Autobahn's own two protocols in memory, with nothing of the relay's but what it sets on them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.util import wildcards2patterns
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectingRequest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"mask"

OPTIONS: dict[str, Any] = {
    "CONFIG_ATTRS": (),
    "logOctets": False,
    "logFrames": False,
    "trackTimings": False,
    "utf8validateIncoming": False,
    "applyMask": True,
    "maxFramePayloadSize": 0,
    "maxMessagePayloadSize": 0,
    "autoFragmentSize": 0,
    "failByDrop": False,
    "echoCloseCodeReason": True,
    "openHandshakeTimeout": 0,
    "closeHandshakeTimeout": 0,
    "tcpNoDelay": True,
    "autoPingInterval": 0,
    "autoPingTimeout": 0,
    "autoPingRestartOnAnyTraffic": False,
    "versions": (13,),
    "webStatus": False,
    "requireMaskedClientFrames": True,
    "maskServerFrames": False,
    "serveFlashSocketPolicy": False,
    "maxConnections": 0,
    "trustXForwardedFor": 0,
    "allowedOriginsPatterns": wildcards2patterns(["*"]),
    "version": 18,
    "acceptMaskedServerFrames": False,
    "maskClientFrames": True,
    "serverConnectionDropTimeout": 0,
    "perMessageCompressionOffers": (),
    "perMessageCompressionAccept": staticmethod(lambda offers: None),
}
"""The relay's options: those that a test is not about stay as they are here."""

HOOKS = [
    *("onOpen", "onMessageBegin", "onMessageFrameBegin", "onMessageFrameData", "onMessageEnd"),
    *("onMessage", "onPing", "onPong", "onCloseFrame", "onClose"),
    *("_connectionMade", "_connectionLost", "_dataReceived", "consumeData", "processHandshake"),
    *("processData", "_onOpen", "succeedHandshake", "failHandshake", "sendData", "sendFrame"),
    *("_fail_connection", "_protocol_violation", "_invalid_payload", "dropConnection"),
]


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, *args: object, **fields: object) -> None:
        self.lines.append(f"{args} {fields}")

    info = warn = error = debug


def _recorded(name: str) -> Any:
    def call(self: Any, *args: Any, **named: Any) -> Any:
        self.calls.append((name, *args, *named.values()))
        if name in self.silenced:
            return self.silenced[name]
        return getattr(super(self.recorder, self), name)(*args, **named)

    return call


class Transport(StringTransport):
    """Has C{TCP_NODELAY}, and no producer to lose."""

    no_delay: bool | None = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def unregisterProducer(self) -> None:
        pass


class Timer:
    """In place of Autobahn's; keeps for how long it was asked to wait."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def call_later(self, seconds: float, call: Any, *args: Any) -> Timer:
        self.seconds.append(seconds)
        return self

    def cancel(self) -> None:
        pass


class ClientFactory:
    """All that the relay's factory gives a client."""

    isServer = False
    proxy = None
    protocols = ("realtime",)


def make(kind: type, **attributes: Any) -> Any:
    """
    A protocol of Autobahn's that keeps its calls.

    @param attributes: of its class, besides L{OPTIONS}; C{silenced} names what is not to be called
        through, with the results.
    """
    bases = {"silenced": {}, **OPTIONS, **{name: _recorded(name) for name in HOOKS}, **attributes}
    recorder = type("Recorder", (kind,), bases)
    recorder.recorder = recorder  # type: ignore[attr-defined]
    protocol: Any = recorder()
    protocol.calls = []
    protocol.log = Log()
    return protocol


def server(**attributes: Any) -> Any:
    """A server on a connection that has just been accepted."""
    protocol = make(WebSocketServerProtocol, **attributes)
    protocol.factory = WebSocketServerFactory(reactor=Clock(), server="")
    protocol.factory._batched_timer = Timer()
    protocol.makeConnection(Transport())
    return protocol


def client(factory: type = ClientFactory, **attributes: Any) -> Any:
    """A client on a connection that has just been made, and its request written."""
    attributes.setdefault("startHandshake", lambda self: None)
    protocol = make(WebSocketClientProtocol, **attributes)
    protocol.factory = factory()
    protocol.makeConnection(Transport())
    protocol._actuallyStartHandshake(asked())
    return protocol


def asked(**headers: str) -> ConnectingRequest:
    """What a client asks."""
    return ConnectingRequest(
        host="example.com",
        port=443,
        resource="/path?q=1",
        headers=headers,
        protocols=["realtime"],
        useragent="agent",
    )


def upgrade(**headers: str) -> bytes:
    """A request for a WebSocket."""
    fields = {
        "Host": "example.com",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"GET /path?q=1 HTTP/1.1\r\n{lines}\r\n".encode()


def switching(protocol: Any, **headers: str) -> bytes:
    """The 101 that a client waits for."""
    digest = hashlib.sha1(protocol.websocket_key + WebSocketProtocol._WS_MAGIC).digest()
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()


def open_server(silenced: Any = None, **attributes: Any) -> Any:
    """A server whose handshake is done: only then it is silenced, and begins to keep its calls."""
    protocol = server(**attributes)
    protocol.dataReceived(upgrade())
    return _cleared(protocol, silenced)


def open_client(silenced: Any = None, **attributes: Any) -> Any:
    """The same of a client."""
    protocol = client(**attributes)
    protocol.dataReceived(switching(protocol))
    return _cleared(protocol, silenced)


def _cleared(protocol: Any, silenced: Any) -> Any:
    assert protocol.state == protocol.STATE_OPEN, protocol.log.lines
    protocol.silenced = silenced or {}
    protocol.calls.clear()
    protocol.transport.clear()
    return protocol


def frame(opcode: int, payload: bytes = b"", fin: bool = True, masked: bool = True) -> bytes:
    """A short frame, masked as clients must."""
    head = bytes([(0x80 if fin else 0) | opcode, (0x80 if masked else 0) | len(payload)])
    return head + (MASK + xor(payload) if masked else payload)


def xor(payload: bytes, mask: bytes = MASK) -> bytes:
    """Masked or unmasked."""
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def calls(protocol: Any, *names: str) -> list[tuple[Any, ...]]:
    """What was called of these names, in order."""
    return [call for call in protocol.calls if call[0] in names]
