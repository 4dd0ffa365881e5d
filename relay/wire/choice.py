"""Which line a connection gets."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor, ISystemHandle
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.timing.turns import Turns
from relay.wire.epoll import Hub
from relay.wire.interfaces import Line, LineEnd, Received
from relay.wire.sockets import SocketLine
from relay.wire.tls import TlsLine
from relay.wire.transport import TransportLine


class Lines:
    """
    Makes the lines of one factory.

    @ivar answers: shares turns between the answers of upstreams to an upgrade.
    @ivar parsing: shares turns between chunks that take more than one turn to parse.
    @param reactor: the reactor that made the connections.
    @param direct: whether sockets may be used directly. If not, every line uses its transport as
        Twisted made it, which is the reference.
    """

    def __init__(self, reactor: Any, direct: bool = True) -> None:
        self.answers, self.parsing = Turns(reactor), Turns(reactor)
        self._reactor = reactor
        self._direct = direct and IReactorFDSet.providedBy(reactor)
        self._hub = Hub(reactor) if hasattr(select, "epoll") else reactor

    def line(self, transport: Any, end: LineEnd, received: Received) -> Line:
        """
        The cheapest line for this transport. For TCP and local sockets, and for TLS on top of one
        of them, it uses the socket if the reactor watches descriptors (L{IReactorFDSet}).

        To be called when nothing waits in the transport to be written.
        """
        if self._direct:
            if _has_socket(transport):
                return SocketLine(self._hub_for(transport), transport, end, received)
            if isinstance(transport, TLSMemoryBIOProtocol) and _has_socket(transport.transport):
                return TlsLine(self._hub_for(transport.transport), transport, end, received)
        return TransportLine(transport, end, received)

    def _hub_for(self, transport: Any) -> Hub | IReactorFDSet:
        """The hub, or the reactor for a transport without a descriptor, as a test's in memory."""
        return self._hub if transport.fileno() >= 0 else self._reactor


def _has_socket(transport: Any) -> bool:
    """
    Whether its handle is a socket. For TLS, also by C{startTLS}, it is OpenSSL's connection.
    """
    return (
        IReadWriteDescriptor.providedBy(transport)
        and ISystemHandle.providedBy(transport)
        and isinstance(transport.getHandle(), socket.socket)
    )
