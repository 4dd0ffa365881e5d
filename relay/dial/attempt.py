"""One try to open one upstream, from the connection to its first event."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from relay.dial.protocol import HandshakeListener, UpstreamProtocol
from relay.dial.tls import is_alert, name_of
from relay.http.answer import Answer
from relay.peer.interfaces import NOBODY
from relay.rules.closes import Close, Side
from relay.rules.events import ServerEvent, parse_event
from relay.rules.refusals import Refusal, Refused, Stage, UpstreamFacts, attributed, refuse
from relay.rules.scrub import scrub
from relay.telemetry.records import AttemptRecord
from relay.timing.deadline import Deadline
from relay.upstreams.classify import refusal_of_answer, refusal_of_opening
from relay.upstreams.providers import Upstream

ANSWER_SECONDS = 1.0
"""How long the rest of an answer other than 101 is awaited."""

CLOSE_SECONDS = 0.25
"""How long the Close behind an C{error} event is awaited."""

_REQUEST_IDS = ("x-request-id", "apim-request-id")


@frozen(eq=False)
class OpenUpstream:
    """
    An upstream that is open and has said its first word.

    @ivar first: the messages it sent so far, in order; each is payload and whether it is binary.
    @ivar session_id: from C{session.created}.
    @ivar secrets: what must not show in text from it.
    """

    protocol: UpstreamProtocol
    upstream: Upstream
    first: list[tuple[bytes, bool]]
    session_id: str | None
    secrets: tuple[str, ...]

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol it selected."""
        selected: str | None = self.protocol.websocket_protocol_in_use
        return selected


class Attempt(HandshakeListener):
    """
    Listens to the handshake and the first event, and decides what they mean.

    @ivar result: fires with an L{OpenUpstream} or fails with L{Refused}. Cancelling it drops the
        connection.
    """

    def __init__(
        self,
        clock: IReactorTime,
        upstream: Upstream,
        secrets: tuple[str, ...],
        record: AttemptRecord,
    ) -> None:
        self.result: Deferred[OpenUpstream] = Deferred()
        self._clock = clock
        self._upstream = upstream
        self._secrets = secrets
        self._record = record
        self._since = clock.seconds()
        self._protocol: UpstreamProtocol | None = None
        self._first: list[tuple[bytes, bool]] = []
        self._error: ServerEvent | None = None
        self._over = False
        self._wait = Deadline(clock)

    def reached(self, stage: Stage) -> None:
        """The stage before C{stage} is done."""
        self._passed()
        self._record.stage = stage

    def _passed(self) -> None:
        now = self._clock.seconds()
        if self._record.stage is not None:
            self._record.stages[self._record.stage] = now - self._since
        self._since = now

    def refuse(
        self, refusal: Refusal, status: int | None = None, request_id: str | None = None
    ) -> None:
        """End it with a refusal, told to be this upstream's."""
        if not self._over:
            facts = UpstreamFacts(self._upstream.name, self._record.stage, status, request_id)
            self._record.outcome = refusal.code
            self.drop()
            self.result.errback(Refused(attributed(refusal, facts)))

    def drop(self) -> None:
        """End it, and its connection, without a word."""
        if not self._over:
            protocol = self._end()
            if protocol is not None:
                protocol.attempt, protocol.listener = None, NOBODY
                protocol.abort()

    def _end(self) -> UpstreamProtocol | None:
        """The protocol's factory has the attempt, so the attempt lets go of the protocol."""
        self._over = True
        self._wait.clear()
        protocol, self._protocol = self._protocol, None
        return protocol

    def _succeed(self, session_id: str | None) -> None:
        protocol = self._end()
        assert protocol is not None, "nothing opens unconnected"
        self._record.outcome = "open"
        self._passed()
        self.result.callback(
            OpenUpstream(protocol, self._upstream, self._first, session_id, self._secrets)
        )

    # -- the handshake ---------------------------------------------------------------------

    def connected(self, protocol: UpstreamProtocol) -> None:
        """TCP is up."""
        self._protocol = protocol
        self.reached("tls" if self._upstream.secure else "upgrade")

    def secured(self) -> None:
        """TLS is up."""
        self.reached("upgrade")

    def answering(self) -> None:
        """Its refusal has begun; do not wait long for the rest."""
        if not self._wait.is_set:
            self._wait.set(ANSWER_SECONDS, self._waited)

    def answered(self, answer: Answer) -> None:
        """It refused by HTTP."""
        refusal = refusal_of_answer(
            self._upstream.traits, answer.status, answer.headers, answer.body, self._secrets
        )
        self.refuse(refusal, answer.status, self._request_id(answer.headers))

    def _request_id(self, headers: Mapping[str, str]) -> str | None:
        found = (headers[name] for name in _REQUEST_IDS if name in headers)
        text = next(found, None)
        return None if text is None else scrub(text, self._secrets)

    def malformed(self, error: str) -> None:
        """It does not speak WebSocket."""
        self._record.error = error
        message = "The upstream's answer is not a WebSocket handshake; check its URL."
        self.refuse(refuse("upstream_refused", message))

    def unanswered(self, reason: Failure) -> None:
        """The connection ended before the WebSocket was open."""
        self._record.error = name_of(reason.value)
        dropped = reason.check(ConnectionLost, ConnectionDone, ConnectionAborted)
        if is_alert(reason.value):
            # With TLS 1.3 what it thinks of our certificate comes after the handshake.
            message = "The upstream refused the relay's TLS; the relay's operator must correct it."
            self.refuse(refuse("upstream_tls_failed", message))
        elif self._record.stage == "tls" and not dropped:
            self.refuse(refuse("upstream_tls_failed"))
        else:
            message = "The upstream dropped the connection before it answered; try again."
            self.refuse(refuse("upstream_connect_failed", message))

    def opened(self) -> None:
        """The WebSocket is open; who speaks first is waited for."""
        self.reached("first_event")
        if not self._upstream.traits.first_event:
            self._succeed(None)

    # -- the first event -------------------------------------------------------------------

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """An C{error} first is a refusal, anything else opens the session."""
        if self._error is not None:
            return  # what comes until its Close is for nobody, and there may be much of it
        event = None if self._over else parse_event(payload)
        if event is not None and event.type == "error":
            self._error = event
            self._wait.set(CLOSE_SECONDS, self._waited)
            return
        self._first.append((payload, is_binary))
        if event is not None:
            # It stands in the log, and is upstream's text like any other.
            self._succeed(scrub(event.session_id or "", self._secrets) or None)

    def _waited(self) -> None:
        if self._error is not None:
            self._refuse_opening(None)
        elif self._protocol is not None:
            self._protocol.take_answer()

    def _refuse_opening(self, close: Close | None) -> None:
        self.refuse(refusal_of_opening(self._upstream.traits, self._error, close, self._secrets))

    def closed(self, side: Side, close: Close) -> None:
        """It closed at once, perhaps behind an error."""
        self._refuse_opening(close)

    def faulted(self, side: Side, close: Close) -> None:
        """It broke the protocol at once."""
        message = "The upstream broke the WebSocket protocol at once."
        self.refuse(refuse("upstream_refused", message))

    def silent(self, side: Side) -> None:
        """It was open and no longer answers."""
        self.refuse(refuse("upstream_timeout"))

    stalled = silent

    def failed(self, side: Side, failure: Failure) -> None:
        """The relay itself went wrong; the hold tells of it."""
        if not self._over:
            self.drop()
            self.result.errback(failure)

    def lost(self, side: Side, reason: Failure) -> None:
        """The connection ended before a first event, or behind an error."""
        self._record.error = name_of(reason.value)
        if self._error is not None:
            self._refuse_opening(None)
        else:
            message = "The upstream dropped the connection before its first event; try again."
            self.refuse(refuse("upstream_connect_failed", message))
