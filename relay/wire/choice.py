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

    @ivar answers: by turns, what upstreams answer to an upgrade.
    @ivar parsing: by turns, what has to wait of what was read on them.
    @param reactor: by which its connections were made.
    @param direct: whether they may be used by their sockets; else all is left to the transports as
        Twisted made them, which is the reference.
    """

    def __init__(self, reactor: Any, direct: bool = True) -> None:
        self.answers, self.parsing = Turns(reactor), Turns(reactor)
        self._reactor = reactor
        self._direct = direct and IReactorFDSet.providedBy(reactor)
        self._hub = Hub(reactor) if hasattr(select, "epoll") else reactor

    def line(self, transport: Any, end: LineEnd, received: Received) -> Line:
        """
        The cheapest line for this transport: TCP and local sockets, and TLS on top of one of them,
        go by the socket if the reactor watches descriptors (L{IReactorFDSet}).

        Nothing may wait in the transport to be written.
        """
        if self._direct:
            if _has_socket(transport):
                return SocketLine(self._hub_for(transport), transport, end, received)
            if isinstance(transport, TLSMemoryBIOProtocol) and _has_socket(transport.transport):
                return TlsLine(self._hub_for(transport.transport), transport, end, received)
        return TransportLine(transport, end, received)

    def _hub_for(self, transport: Any) -> Hub | IReactorFDSet:
        """Only what has a number can be in an epoll: not what is in memory only."""
        return self._hub if transport.fileno() >= 0 else self._reactor


def _has_socket(transport: Any) -> bool:
    """TLS, also by C{startTLS}, has OpenSSL's connection as its handle."""
    return (
        IReadWriteDescriptor.providedBy(transport)
        and ISystemHandle.providedBy(transport)
        and isinstance(transport.getHandle(), socket.socket)
    )
