"""
A plain relay of Twisted and Autobahn, as their manuals show it: what this project is compared with.

    python plain.py PORT UPSTREAM_ORIGIN CA_FILE

Nothing clever in it, and no guards: no limits, no deadlines, no backpressure.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
    connectWS,
)
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate, optionsForClientTLS

PORT, ORIGIN, CA_FILE = sys.argv[1:]
TLS = optionsForClientTLS("127.0.0.1", Certificate.loadPEM(Path(CA_FILE).read_bytes()))


class ToUpstream(WebSocketClientProtocol):
    """The relay's connection to the upstream."""

    def onOpen(self) -> None:
        self.other = self.factory.downstream
        self.other.other = self
        self.factory.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.other.sendMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if not self.factory.opened.called:
            self.factory.opened.errback(ConnectionError(reason))
        else:
            self.other.sendClose()


class FromDownstream(WebSocketServerProtocol):
    """A client's connection, which opens when the upstream has."""

    other: Any = None

    # The annotation that this overrides forgets that a Deferred may come as well.
    def onConnect(self, request: Any) -> Deferred[None]:  # type: ignore[override]
        # "Any", for the factory carries what its protocol is to find.
        factory: Any = WebSocketClientFactory(ORIGIN + self.http_request_uri)
        factory.protocol = ToUpstream
        factory.downstream = self
        factory.opened = Deferred()
        connectWS(factory, TLS if factory.isSecure else None)
        opened: Deferred[None] = factory.opened
        return opened

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.other.sendMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.other is not None:
            self.other.sendClose()


if __name__ == "__main__":
    server = WebSocketServerFactory()
    server.protocol = FromDownstream
    reactor.listenTCP(int(PORT), server, backlog=1024, interface="127.0.0.1")
    reactor.run()
