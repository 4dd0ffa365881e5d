"""The relay's bare WebSocket with one of Autobahn's sides, in memory."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from peer.stock import OPTIONS, ClientFactory, Timer, Transport, asked, frame, switching, upgrade
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from relay.peer.autobahn import BareWebSocket

OF_ONE_SIDE = {name: OPTIONS[name] for name in OPTIONS if not hasattr(BareWebSocket, name)}
"""The options that are not for the bare WebSocket to set."""
del OF_ONE_SIDE["maxMessagePayloadSize"]


class Kept:
    """Keeps what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []
        self.opens = 0

    def onOpen(self) -> None:
        self.opens += 1

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.told.append(payload)

    def onClose(self, *how: object) -> None:
        self.told.append(how[:2])


def side(kind: type, factory: Any) -> Any:
    """A connected protocol of one side, with that side's options only."""
    protocol: Any = type("Bare", (Kept, BareWebSocket, kind), OF_ONE_SIDE)()
    protocol.maxMessagePayloadSize = 0
    protocol.factory = factory
    factory._batched_timer = Timer()
    transport = Transport()
    alsoProvides(transport, ITCPTransport)
    protocol.makeConnection(transport)
    return protocol


def server() -> Any:
    return side(WebSocketServerProtocol, WebSocketServerFactory(reactor=Clock(), server=""))


def client() -> Any:
    protocol = side(WebSocketClientProtocol, ClientFactory())
    protocol._actuallyStartHandshake(asked())
    return protocol


def opened(protocol: Any) -> Any:
    """Its handshake is done."""
    is_server = protocol.factory.isServer
    protocol._dataReceived(upgrade() if is_server else switching(protocol))
    assert protocol.state == protocol.STATE_OPEN
    assert protocol.opens == 1
    protocol.transport.clear()
    return protocol


def live(protocol: Any) -> None:
    """A message each way, Ping and Pong, Close and loss."""
    masked = protocol.factory.isServer
    opened(protocol)
    protocol._dataReceived(frame(1, b"in", masked=masked))
    protocol.sendMessage(b"out")
    protocol._dataReceived(frame(9, b"?", masked=masked) + frame(10, b"!", masked=masked))
    protocol.sendClose(1000)
    protocol._dataReceived(frame(8, b"\x03\xe8", masked=masked))
    protocol._connectionLost(Failure(ConnectionDone()))
