"""The downstream side: Autobahn's server, whose answer waits for the hold."""

from __future__ import annotations

from collections.abc import Callable

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.util import wildcards2patterns
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.config.settings import Limits
from relay.dial.opened import OpenUpstream
from relay.downstream.session_hold import SessionHold
from relay.peer.interfaces import NOBODY
from relay.peer.protocol import PeerProtocol
from relay.rules.closes import FAILED, Close, Side
from relay.rules.refusal_forms import error_event
from relay.rules.refusals import Refusal, Refused, refuse
from relay.rules.subprotocols import select, select_for_refusal
from relay.timing.bulkhead import bulkhead
from relay.wire.choice import Lines

_log = Logger()

Accepted = tuple[str | None, dict[str, str]]
"""What Autobahn expects of C{onConnect}: the selected subprotocol, and headers of the 101."""


class HandshakeDenied(ConnectionDeny):
    """The upgrade is refused; C{refusal} is the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status, refusal.code)
        self.refusal = refusal


class DownstreamProtocol(PeerProtocol, WebSocketServerProtocol):  # type: ignore[misc]
    """
    The WebSocket to an app or browser.

    @param hold: the hold that the handshake waits for.
    @param in_band: whether a refusal is told over an opened WebSocket.
    @param answer: writes a refusal as the HTTP answer, and ends the connection.
    """

    side: Side = "downstream"
    versions = (13,)  # with version 8 a browser's Origin has another name
    webStatus = False  # else Autobahn serves a page with its version, and an open redirect
    serveFlashSocketPolicy = False
    requireMaskedClientFrames = True
    maskServerFrames = False
    maxConnections = 0
    trustXForwardedFor = 0
    allowedOriginsPatterns = wildcards2patterns(["*"])  # Origin is judged before Autobahn

    def __init__(
        self,
        hold: SessionHold,
        in_band: bool,
        answer: Callable[[Refusal], None],
        clock: IReactorTime,
        limits: Limits,
    ) -> None:
        super().__init__(clock, limits)
        self._hold = hold  # until there is a session: it has the whole head of the request
        self._id = hold.request.id
        self._in_band = in_band
        self._answer = answer
        self._opened: OpenUpstream | None = None
        self._refusal: Refusal | None = None
        self._holding = False
        self._kept = b""

    @staticmethod
    def perMessageCompressionAccept(offers: object) -> None:
        """Accept no extension."""

    # -- the hold --------------------------------------------------------------------------

    def onConnect(  # type: ignore[override]  # documented there, not annotated
        self, request: object
    ) -> Deferred[Accepted]:
        """
        Hold the upgrade until an upstream is open.

        @return: fires with the subprotocol and headers of the 101, or fails with
            L{HandshakeDenied}.
        """
        self._holding = True
        return self._hold.start().addCallbacks(self._accept, self._refuse)

    def _accept(self, opened: OpenUpstream) -> Accepted:
        self._opened = opened
        return self._headed(select(self._hold.request.head.subprotocols, opened.subprotocol))

    def _refuse(self, failure: Failure) -> Accepted:
        failure.trap(Refused, CancelledError)
        if not isinstance(failure.value, Refused):
            raise HandshakeDenied(refuse("internal_error"))  # the client is gone: it is not sent
        self._refusal = failure.value.refusal
        if not self._in_band:
            raise HandshakeDenied(self._refusal)
        return self._headed(select_for_refusal(self._hold.request.head.subprotocols))

    def _headed(self, subprotocol: str | None) -> Accepted:
        return subprotocol, {"X-Request-Id": self._id}

    def succeedHandshake(self, res: Accepted) -> None:
        """Answer 101, if the connection is still there. Autobahn does not check that."""
        self._holding = False
        if self.state == self.STATE_CONNECTING:
            super().succeedHandshake(res)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: object = None) -> None:
        """
        Answer with the whole refusal. Autobahn's own answer has no body, and puts the reason into
        the status line, CR LF included.
        """
        self._holding = False
        if self.state == self.STATE_CONNECTING:
            self.state = self.STATE_CLOSED
            self._answer(self._refusal or refuse("bad_request"))

    @bulkhead
    def dataReceived(self, data: bytes) -> None:
        """Refuse bytes that come before the 101: they are an error, and need no queue."""
        if self._holding:
            self._in_band = False
            self._hold.end(refuse("bad_request", "Send nothing before the 101."))
        else:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; during the hold, cancel the dial."""
        if self.state == self.STATE_CONNECTING:
            self.state = self.STATE_CLOSED
            self._leave()
        hold = getattr(self, "_hold", None)
        if hold is not None:  # there was no session
            hold.forgo()
        super().connectionLost(reason)

    @bulkhead
    def _leave(self) -> None:
        self._hold.leave()

    def failed(self) -> None:
        """The relay itself failed here, with the exception being handled now."""
        if self.listener is not NOBODY:
            super().failed()
            return
        _log.failure("the handshake of {id} failed", id=self._id)
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.protocol.abort()
        self.abort()

    # -- open ------------------------------------------------------------------------------

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """
        Write, but keep the 101 back: it goes with the first message, or alone at the end of
        L{onOpen}.

        Under TLS, Twisted would keep the 101 until the next turn. What the line writes below
        Twisted's TLS would overtake it.
        """
        if self.state == self.STATE_CONNECTING:
            self._kept = data
            return
        if self._kept:
            data, self._kept = self._kept + data, b""
        super().sendData(data)

    def onOpen(self) -> None:
        """The 101 is written: join the two sides, or tell the refusal."""
        opened, self._opened = self._opened, None
        if opened is None:
            self._tell_refusal(self._refusal or refuse("internal_error"))
        else:
            self._join(opened)
        if self._kept:
            self.sendData(b"")

    def _join(self, opened: OpenUpstream) -> None:
        try:
            self._hold.join(self, opened)
        except Exception:
            # Autobahn would log this and leave the socket open.
            _log.failure("could not join {id}", id=self._id)
            self._hold.forgo()
            self.close(FAILED)
            opened.protocol.close(FAILED)
        del self._hold

    def _tell_refusal(self, refusal: Refusal) -> None:
        self.relay(error_event(refusal, self._id), False)
        self.close(Close(refusal.close_code, f"relay: {refusal.code}"))


class DownstreamFactory(WebSocketServerFactory):
    """What Autobahn's protocols need of a factory; one for all connections."""

    noisy = False

    def __init__(self, reactor: IReactorTime, lines: Lines) -> None:
        super().__init__(reactor=reactor, server="")
        self.lines = lines
