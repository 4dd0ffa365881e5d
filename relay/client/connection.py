"""One connection of a Realtime client, from its URL to its Close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime
from twisted.internet.ssl import optionsForClientTLS

from relay.client.meaning import Event, Times
from relay.peer.quiet import QuietLogger
from relay.rules.subprotocols import NOTICES, REFUSALS_EVENT
from relay.timing.deadline import Deadline, limit


class Socket(WebSocketClientProtocol):
    """
    One connection.

    @ivar patience: runs until the first event that is no error.
    """

    log = QuietLogger()  # Autobahn's would write the credential, at debug
    opened = responding = gone = False
    error: Event | None = None
    patience: Deadline

    def connectionMade(self) -> None:
        self.patience = Deadline(self.factory.reactor)
        self.patience.set(self.factory.seconds, self._too_late)
        super().connectionMade()

    def _too_late(self) -> None:
        self.dropConnection(abort=True)

    def leave(self) -> None:
        """End it, and tell nothing more."""
        self.gone = True
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(1000, b"")
        else:  # Autobahn cannot close what is not open yet
            self.dropConnection(abort=True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if not isBinary:
            self.factory.hears(self, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.patience.clear()
        self.factory.ended(self, code, reason or "")


Hears: TypeAlias = Callable[[Socket, bytes], None]
"""Is told of each text message."""

Ended: TypeAlias = Callable[[Socket, int | None, str], None]
"""Is told of the end: the close code and the reason."""


class SocketFactory(WebSocketClientFactory):
    """
    Makes the one connection.

    @param credential: goes with it as a bearer's, unless it is L{None}.
    """

    noisy = False
    protocol = Socket

    def __init__(
        self,
        url: str,
        credential: str | None,
        times: Times,
        reactor: Any,
        hears: Hears,
        ended: Ended,
    ) -> None:
        headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        offered = ["realtime", REFUSALS_EVENT, NOTICES]
        super().__init__(url, protocols=offered, headers=headers, reactor=reactor)
        self.setProtocolOptions(
            openHandshakeTimeout=times.first_event,
            autoPingInterval=times.ping,
            autoPingTimeout=times.pong,
        )
        self.seconds = times.first_event
        self.hears, self.ended = hears, ended


async def connect(factory: SocketFactory, trust: Any) -> Socket:
    """
    Make the connection, whose handshake then goes on.

    @param trust: a trust root for C{wss:}, as of L{optionsForClientTLS}; the machine's if L{None}.
    @raise Exception: if there is none, or none in time.
    """
    to = urlsplit(factory.url)
    secure = to.scheme == "wss"
    endpoint: Any = HostnameEndpoint(
        factory.reactor, to.hostname or "", to.port or (443 if secure else 80)
    )
    if secure:
        options: Any = optionsForClientTLS(to.hostname or "", trust)
        endpoint = wrapClientTLS(options, endpoint)
    connecting = endpoint.connect(factory)
    limit(connecting, factory.seconds, IReactorTime(factory.reactor), _late)
    socket: Socket = await connecting
    return socket


def _late() -> Exception:
    return TimeoutError("no connection in time")
