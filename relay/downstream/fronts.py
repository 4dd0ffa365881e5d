"""The factories of fronts: a listener's connections, and what they share."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.interfaces import IAddress, IProtocolNegotiationFactory
from twisted.internet.protocol import ServerFactory
from zope.interface import implementer

from relay.downstream.acceptor import Front
from relay.downstream.gate import FrontContext


@implementer(IProtocolNegotiationFactory)
class FrontFactory(ServerFactory):
    """Builds the front of each connection."""

    noisy = False

    def __init__(self, context: FrontContext) -> None:
        self._context = context

    def context(self) -> FrontContext:
        """What the next request gets. It differs once the relay is configured anew."""
        return self._context

    def buildProtocol(self, addr: IAddress | None) -> Front:
        """The front of one connection."""
        assert addr is not None, "an accepted connection has an address"
        front = Front(self.context, addr)
        front.factory = self
        return front

    def acceptableProtocols(self) -> list[bytes]:
        """
        The protocol that is spoken behind TLS. Without an answer here, Twisted ends the handshake
        of every client that uses ALPN, as browsers and curl do.
        """
        return [b"http/1.1"]


class FrontsOfListener(FrontFactory):
    """
    A factory's fronts, for the connections of one listener.

    @param listener: the listener's name in the settings' rules.
    """

    def __init__(self, fronts: FrontFactory, listener: str) -> None:
        super().__init__(fronts.context())
        self._fronts = fronts
        self._listener = listener

    def context(self) -> FrontContext:
        """The factory's, for this listener."""
        return evolve(self._fronts.context(), listener=self._listener)
