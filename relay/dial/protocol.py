"""The upstream side: Autobahn's client, reporting how its handshake went."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen
from autobahn.twisted.websocket import WebSocketClientProtocol
from autobahn.websocket.types import ConnectingRequest
from twisted.internet.interfaces import IAddress, IHandshakeListener, IProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.config.settings import Limits
from relay.dial.race import OneConnection
from relay.http.answer import Answer, AnswerReader, MalformedAnswer
from relay.http.head import Head
from relay.http.switching import WRONG_ACCEPT, fault_of
from relay.peer.interfaces import PeerListener
from relay.peer.protocol import PeerProtocol
from relay.rules.addresses import bracketed
from relay.rules.closes import Side
from relay.rules.subprotocols import for_upstream
from relay.timing.bulkhead import bulkhead
from relay.timing.turns import Inflow
from relay.upstreams.endpoints import Route
from relay.upstreams.upstream import Upstream
from relay.wire.choice import Lines

_log = Logger()


@frozen
class UpgradeRequest:
    """
    What is asked of an upstream.

    @ivar authority: the host of the Host header, in brackets if it is an IPv6 address.
    @ivar target: path and query.
    @ivar headers: all headers except WebSocket's own, with the credential's.
    @ivar subprotocols: the subprotocols that are offered.
    """

    authority: str
    port: int
    target: str
    headers: dict[str, str] = field(repr=False)
    subprotocols: list[str]


def upgrade_request(
    upstream: Upstream,
    route: Route,
    head: Head,
    credential: str | None,
    granted: Mapping[str, str],
) -> UpgradeRequest:
    """
    What is asked of this upstream for a downstream's request.

    @param granted: further headers, as the grant has them.
    """
    return UpgradeRequest(
        bracketed(upstream.host),
        upstream.port,
        upstream.target(route, head.query),
        upstream.request_headers(credential, head.fields, granted),
        for_upstream(head.subprotocols, upstream.subprotocols),
    )


class HandshakeListener(PeerListener):
    """Is told how the handshake goes, and afterwards what a L{PeerListener} is told."""

    def connected(self, protocol: UpstreamProtocol) -> None:
        """The TCP connection is there, and the request is about to be sent."""

    def secured(self) -> None:
        """The TLS handshake is done."""

    def answering(self) -> None:
        """An answer other than 101 has begun; its body may still come."""

    def answered(self, answer: Answer) -> None:
        """The answer is not 101; this is all that was read of it."""

    def malformed(self, error: str) -> None:
        """
        The answer is no HTTP, or no WebSocket handshake.

        @param error: which of them; it may quote the answer.
        """

    def opened(self) -> None:
        """The WebSocket is open."""

    def unanswered(self, reason: Failure) -> None:
        """The connection was lost before a whole answer."""


@implementer(IHandshakeListener)
class UpstreamProtocol(PeerProtocol, WebSocketClientProtocol):  # type: ignore[misc]
    """
    The WebSocket to an upstream.

    @param listener: is told how the handshake goes, and then what the peer does.
    """

    side: Side = "upstream"
    version = 18  # Autobahn's number for RFC 6455
    acceptMaskedServerFrames = False
    maskClientFrames = True
    perMessageCompressionOffers = ()

    def __init__(
        self,
        request: UpgradeRequest,
        listener: HandshakeListener,
        clock: IReactorTime,
        limits: Limits,
    ) -> None:
        super().__init__(clock, limits)
        self._handshake: HandshakeListener | None = listener  # until it is over
        self._when_lost: Callable[[], object] | None = None
        self._request = request
        self._reader: AnswerReader | None = AnswerReader()
        self._inflow: Inflow | None = None
        self._has_ended = False

    @staticmethod
    def perMessageCompressionAccept(response: object) -> None:
        """Accept no extension, because none is offered."""

    def listen(self, listener: PeerListener) -> None:
        """Tell C{listener} from now on; the handshake's listener is told nothing more."""
        self._handshake = None
        super().listen(listener)

    def when_lost(self, act: Callable[[], object]) -> None:
        """Call C{act} when the connection is gone, whatever listener there is by then."""
        self._when_lost = act

    def failed(self) -> None:
        """The relay itself failed here, with the exception being handled now."""
        if self._handshake is None:
            super().failed()
        else:
            self._handshake.failed(self.side, Failure())

    @bulkhead
    def connectionMade(self) -> None:
        """Send the request."""
        if self._handshake is not None:
            self._handshake.connected(self)
        super().connectionMade()

    @bulkhead
    def handshakeCompleted(self) -> None:
        """The TLS handshake is done (L{IHandshakeListener})."""
        if self._handshake is not None:
            self._handshake.secured()

    def _connectionMade(self) -> None:
        super()._connectionMade()
        self._actuallyStartHandshake(self._asked())

    def _asked(self) -> ConnectingRequest:
        asked = self._request
        del self._request  # it has the key, and is wanted no more
        return ConnectingRequest(
            host=asked.authority,
            port=asked.port,
            resource=asked.target,
            headers=asked.headers,
            protocols=asked.subprotocols,
            useragent="realtime-relay",
        )

    @bulkhead
    def dataReceived(self, data: bytes) -> None:
        """Read the answer here first: Autobahn has no limit for it, and drops its body."""
        if self._reader is None:
            super().dataReceived(data)
            return
        if self._inflow is None:
            self._inflow = Inflow(self.factory.lines.answers, self._read_answer)
        self._inflow.received(self.transport, data)

    @bulkhead
    def _read_answer(self, data: bytes) -> None:
        reader, handshake = self._reader, self._handshake
        if reader is None or handshake is None:
            return
        try:
            complete = reader.feed(data)
        except MalformedAnswer as error:
            handshake.malformed(str(error))
            return
        if reader.switching is not None:
            self._reader = self._inflow = None
            fault = fault_of(reader.switching, self.factory.protocols)
            if fault is not None:
                handshake.malformed(fault)
            elif not self._has_ended:  # else the connection is gone already
                self._shake_hands(handshake, reader.switching)
        elif complete:
            self.report_answer()
        elif reader.answer() is not None:
            handshake.answering()

    def _shake_hands(self, handshake: HandshakeListener, data: bytes) -> None:
        try:
            self._dataReceived(data)
        except Exception:
            # The relay's own fault: a fault of the answer would have been told before.
            _log.failure("exception while reading upstream's handshake")
            handshake.malformed("see the log")

    def report_answer(self) -> None:
        """Report the answer as far as it was read."""
        answer = self._reader.answer() if self._reader is not None else None
        if answer is not None and self._handshake is not None:
            self._handshake.answered(answer)

    def failHandshake(self, reason: str) -> None:
        """
        Autobahn finds the one fault of a 101 that was not looked for here. Its reason is dropped,
        because it quotes headers.
        """
        if self._handshake is not None:
            self._handshake.malformed(WRONG_ACCEPT)

    def onOpen(self) -> None:
        """The handshake is done. Messages in the same chunk are parsed after this."""
        handshake = self._handshake
        if handshake is not None:
            self.listen(handshake)
            self.watch()
            handshake.opened()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, which may also be the end of an answer."""
        try:
            self._end_handshake()
        finally:
            handshake, self._handshake = self._handshake, None
            super().connectionLost(reason)
            if handshake is not None:
                handshake.unanswered(reason)
            if self._when_lost is not None:
                self._when_lost()

    @bulkhead
    def _end_handshake(self) -> None:
        if self._inflow is not None:
            inflow, self._inflow = self._inflow, None
            self._has_ended = True
            self._read_answer(inflow.end())
        self.report_answer()


class UpstreamFactory(OneConnection[IProtocol]):
    """
    Makes the one protocol of an attempt, and has what Autobahn needs of a factory.

    Each attempt needs a factory of its own, because it holds the subprotocols that may be selected.
    Autobahn's parses a URL and seeds the random numbers each time one is made.
    """

    isServer = False
    proxy = None

    def __init__(
        self,
        request: UpgradeRequest,
        listener: HandshakeListener,
        reactor: IReactorTime,
        limits: Limits,
        lines: Lines,
    ) -> None:
        super().__init__()
        self.lines = lines
        self.protocols = request.subprotocols
        self._parts = (request, listener, reactor, limits)

    def buildProtocol(self, addr: IAddress | None) -> UpstreamProtocol:
        """The protocol of this attempt."""
        protocol = UpstreamProtocol(*self._parts)
        del self._parts  # the request again
        protocol.factory = self
        self.built(protocol)
        return protocol
