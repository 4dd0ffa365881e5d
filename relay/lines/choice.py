"""Which line a connection gets."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor, ISystemHandle
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.lines.interfaces import Line, LineEnd, Received
from relay.lines.sockets import SocketLine
from relay.lines.tls import TlsLine
from relay.lines.transport import TransportLine


def line_for(reactor: object, transport: Any, end: LineEnd, received: Received) -> Line:
    """
    The cheapest line for this transport: TCP and local sockets, and TLS on top of one of them, go
    by the socket if the reactor watches descriptors (L{IReactorFDSet}).

    Nothing may wait in the transport to be written.
    """
    if IReactorFDSet.providedBy(reactor):
        if _has_socket(transport):
            return SocketLine(reactor, transport, end, received)
        if isinstance(transport, TLSMemoryBIOProtocol) and _has_socket(transport.transport):
            return TlsLine(reactor, transport, end, received)
    return TransportLine(transport, end, received)


def _has_socket(transport: Any) -> bool:
    """TLS, also by C{startTLS}, has OpenSSL's connection as its handle."""
    return (
        IReadWriteDescriptor.providedBy(transport)
        and ISystemHandle.providedBy(transport)
        and isinstance(transport.getHandle(), socket.socket)
    )
