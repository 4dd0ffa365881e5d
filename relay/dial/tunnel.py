"""One connection through an HTTP proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from relay.dial.race import OneConnection
from relay.http.answer import AnswerReader, MalformedAnswer
from relay.timing.turns import drop
from relay.upstreams.proxies import declined, dropped, malformed


class Tunnel(Protocol):
    """
    A connection to a proxy, until the tunnel through it is open.

    Then an inner protocol is made over the same transport, and this one only passes on to it the
    bytes and the loss of the connection.

    @ivar opened: fires when the tunnel is open, or fails with
        L{relay.upstreams.proxies.ProxyFault}. Cancelling it drops the connection.
    """

    transport: Any

    def __init__(self, request: bytes, factory: IProtocolFactory) -> None:
        """
        @param request: the request that asks for the tunnel.
        @param factory: makes the inner protocol.
        """
        self.opened: Deferred[None] = Deferred(lambda _: self._fail(CancelledError()))
        self._request = request
        self._inner_factory = factory
        self._inner: IProtocol | None = None
        self._reader = AnswerReader()
        self._receive: Callable[[bytes], None] = self._read_answer

    def connectionMade(self) -> None:
        """Ask for the tunnel."""
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        """Read the proxy's answer, then pass the bytes on to the inner protocol."""
        self._receive(data)

    def _read_answer(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except MalformedAnswer:
            self._fail(malformed())
            return
        answer = self._reader.answer()
        if answer is None:
            return
        if 200 <= answer.status < 300:
            self._hand_over(self._reader.rest)
        else:
            self._fail(declined(answer.status))

    def _hand_over(self, rest: bytes) -> None:
        """
        Make the inner protocol. C{rest}, which follows the answer's head, is for it: this answer
        has no body, whatever its head says (RFC 9110, 9.3.6).
        """
        inner = self._inner_factory.buildProtocol(self.transport.getPeer())
        assert inner is not None, "this factory always builds one"
        self._inner = inner
        self._receive = inner.dataReceived
        inner.makeConnection(self.transport)
        if rest:
            self._receive(rest)
        self.opened.callback(None)

    def _fail(self, why: Exception) -> None:
        # First, because abortConnection may call connectionLost at once.
        self.opened.errback(why)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the loss on to the inner protocol; without one, the tunnel has failed."""
        self._receive = drop
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connectionLost(reason)
        elif not self.opened.called:
            self.opened.errback(dropped(type(reason.value).__name__))


class TunnelFactory(OneConnection[Tunnel]):
    """
    Makes one tunnel.

    @ivar connected: fires with the L{Tunnel} as soon as the proxy is connected.
    """

    def __init__(self, request: bytes, factory: IProtocolFactory) -> None:
        super().__init__()
        self._parts = (request, factory)

    def buildProtocol(self, addr: IAddress | None) -> Tunnel:
        """The protocol of this connection."""
        tunnel = Tunnel(*self._parts)
        self.built(tunnel)
        return tunnel
