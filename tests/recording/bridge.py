"""Twisted's factories of upstreams on the network in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from relay.testing.peers import Line
from relay.testing.reactor import HERE, THERE, Reactor


class _Transport(StringTransport):
    """Writes to the relay, and remembers how it is to be ended."""

    aborted = False

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def write(self, data: bytes) -> None:
        self._line.deliver(data)

    def getHost(self) -> IPv4Address:
        return HERE

    def getPeer(self) -> IPv4Address:
        return THERE

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True


class _Far:
    """One connection of the relay's, with a protocol of the upstream at its far end."""

    def __init__(self, line: Line, protocol: Any) -> None:
        self._line = line
        self._protocol = protocol
        self._transport = _Transport(line)
        self._ended = False
        protocol.makeConnection(self._transport)

    def moves(self) -> bool:
        """Hand on what the relay wrote, and the end."""
        if self._ended:
            return False
        data = self._line.take()
        if data:
            self._protocol.dataReceived(data)
        gone = self._line.ended or self._line.lost is not None
        if self._transport.disconnecting or gone:
            self._ended = True
            self._protocol.connectionLost(Failure(ConnectionError("gone")))
            self._line.reset() if self._transport.aborted else self._line.fin()
        return bool(data) or self._ended


def serve(reactor: Reactor, factory: IProtocolFactory, port: int = 9000) -> None:
    """Have this factory listen there."""

    def accept(client: Any, connector: object) -> None:
        line = Line(reactor, client.buildProtocol(HERE))
        reactor.far_ends.append(_Far(line, factory.buildProtocol(THERE)))

    reactor.listeners["127.0.0.1", port] = accept
