"""What is to be known of a place where the relay listens."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet import unix
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IOpenSSLContextFactory,
    IProtocolFactory,
)
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.config.certificates import valid_until
from relay.config.listeners import has_tls
from relay.config.settings import ListenerTable
from relay.rules.addresses import bracketed

QUEUE = 4096
"""
Connections that may wait until they are accepted. Twisted's default of 50 is less than a burst. The
kernel limits it to C{net.core.somaxconn}.
"""


@implementer(IOpenSSLContextFactory)
class Renewable:
    """
    A listener's certificate, which may be replaced while it listens: L{TLSMemoryBIOFactory} asks
    for the context with each connection.

    @ivar options: what the next connection gets.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self.options = options

    def getContext(self) -> SSL.Context:
        """The context of the next connection."""
        return self.options.getContext()


def validities(listeners: Iterable[ListenerTable]) -> dict[str, float]:
    """
    Until when the certificates of listeners are valid, in seconds since 1970, by the endpoint.

    @raise CertificateFault: if a file cannot be used.
    """
    return {
        each.endpoint: valid_until(each.certificate)
        for each in listeners
        if each.certificate is not None
    }


def url_of(listener: ListenerTable, address: IAddress, base_path: str) -> str:
    """The URL of a listener, for people to read; its endpoint string if it has none."""
    if not isinstance(address, (IPv4Address, IPv6Address)):
        return listener.endpoint
    secure = listener.certificate is not None or has_tls(listener.endpoint)
    scheme = "https" if secure else "http"
    return f"{scheme}://{bracketed(address.host)}:{address.port}{base_path}"


def is_inherited(endpoint: str) -> bool:
    """Whether the socket of this endpoint string is systemd's, which keeps it when we end."""
    return "systemd:" in endpoint


class Adopting:
    """
    A reactor that leaves an adopted Unix socket in the file system as it is.

    Twisted's own port makes the socket's file accessible for all, and its queue short, when it
    adopts it; when it stops, it removes the file, and shuts the socket for every process that has
    it. All of that is for whoever made the socket to decide, and who may go on listening there.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def adoptStreamPort(self, fd: int, family: int, factory: IProtocolFactory) -> IListeningPort:
        """Listen on a socket that listens already."""
        if family != socket.AF_UNIX:
            return cast(IListeningPort, self._reactor.adoptStreamPort(fd, family, factory))
        port: Any = unix.Port._fromListeningDescriptor(self._reactor, fd, factory)
        port.backlog = QUEUE
        port._bindPath = b"\0"  # a name outside of the file system, where it has nothing to change
        port._shouldShutdown = False  # as Twisted does for an adopted TCP socket
        port.startListening()
        return cast(IListeningPort, port)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


def make_room(port: IListeningPort, endpoint: str) -> None:
    """
    Let L{QUEUE} connections wait on a listener.

    @param endpoint: the listener's endpoint string. One with C{backlog=} keeps what it says, and an
        adopted socket keeps what systemd says.
    """
    if ":backlog=" in endpoint or is_inherited(endpoint):
        return
    listening = getattr(port, "socket", None)  # a plug-in's endpoint may have none
    if listening is not None:
        listening.listen(QUEUE)  # a second listen() on Linux only changes the queue's length


def reason_of(failure: Failure) -> str:
    """Why it cannot listen, in a few words."""
    error = failure.value
    if isinstance(error, CannotListenError):
        error = error.socketError
    return str(getattr(error, "strerror", None) or error).partition("\n")[0]
