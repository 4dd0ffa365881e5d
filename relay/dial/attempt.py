"""One try to open one upstream, from the connection to its first event."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.admission.grant import Grant
from relay.admission.request import Request
from relay.dial.connector import Connector, NotConnected
from relay.dial.opened import OpenUpstream
from relay.dial.protocol import HandshakeListener, UpstreamProtocol, upgrade_request
from relay.dial.tls import name_of
from relay.dial.trying import Trying, refusal_of_loss
from relay.http.answer import Answer
from relay.peer.interfaces import NOBODY
from relay.rules.closes import Close, Side
from relay.rules.events import parse_event
from relay.rules.refusals import Refusal, refuse
from relay.rules.said import Said
from relay.rules.scrub import scrub
from relay.telemetry.records import AttemptRecord
from relay.timing.deadline import Deadline
from relay.upstreams.classify import refusal_of_answer, refusal_of_opening
from relay.upstreams.endpoints import REALTIME
from relay.upstreams.upstream import Upstream

_log = Logger()

ANSWER_SECONDS = 1.0
"""Seconds to wait for the rest of an answer other than 101."""

CLOSE_SECONDS = 0.25
"""Seconds to wait for the Close behind an C{error} event."""


class Attempt(Trying, HandshakeListener):
    """
    One attempt: connects, listens to the handshake and to the first event, and decides what they
    mean.

    @param connector: makes the connection.
    @param clock: the clock of all deadlines.
    @param record: filled in as the attempt goes on.
    """

    def __init__(
        self, connector: Connector, clock: IReactorTime, upstream: Upstream, record: AttemptRecord
    ) -> None:
        super().__init__(connector, clock, upstream, record)
        self._endpoint = REALTIME
        self._result: Deferred[OpenUpstream] = Deferred()
        self._protocol: UpstreamProtocol | None = None
        self._first: list[tuple[bytes, bool]] = []
        self._error: Said | None = None
        self._over = False
        self._wait = Deadline(clock)

    async def open(self, asked: Request, grant: Grant) -> OpenUpstream:
        """
        Try to open the upstream. It has no deadline of its own. Cancelling it leaves no connection
        behind.

        @param asked: the downstream's request, whose path has a route.
        @param grant: what it may have. Its own credential is used rather than the upstream's.
        @raise Refused: if the upstream, or something on the way to it, refuses.
        """
        assert asked.route is not None, "only what is served is dialled"
        self._endpoint = asked.route.endpoint
        credential = await self._begun(asked, asked.route, grant)
        request = upgrade_request(
            self._upstream, asked.route, asked.head, credential, grant.headers
        )
        try:
            await self._connector.connect(self._upstream, self, request, self.reached)
            opened = await self._result
            self._connector.opened(opened)
            return opened
        except NotConnected as fault:
            raise self._not_connected(fault) from None
        finally:
            self._drop()

    def _refuse(
        self, refusal: Refusal, status: int | None = None, request_id: str | None = None
    ) -> None:
        """End the attempt with this refusal, unless it has ended."""
        if not self._over:
            refused = self._refused(refusal, status, request_id)
            self._drop()
            self._result.errback(refused)

    def _drop(self) -> None:
        """End the attempt, unless it has ended, and let go of its connection."""
        if not self._over:
            protocol = self._end()
            if protocol is not None:
                protocol.listen(NOBODY)
                protocol.let_go()

    def _end(self) -> UpstreamProtocol | None:
        """End the attempt. It forgets the protocol, whose factory has it: a reference cycle."""
        self._over = True
        self._wait.clear()
        protocol, self._protocol = self._protocol, None
        return protocol

    def _succeed(self, session_id: str | None) -> None:
        protocol = self._end()
        assert protocol is not None, "nothing opens unconnected"
        self._record.outcome = "open"
        self._passed()
        self._result.callback(
            OpenUpstream(
                protocol,
                self._upstream,
                self._endpoint,
                self._first,
                session_id,
                self._secrets,
            )
        )

    # -- the handshake ---------------------------------------------------------------------

    def connected(self, protocol: UpstreamProtocol) -> None:
        """The TCP connection is there."""
        self._protocol = protocol
        self.reached("tls" if self._upstream.secure else "upgrade")

    def secured(self) -> None:
        """The TLS handshake is done."""
        self.reached("upgrade")

    def answering(self) -> None:
        """An answer other than 101 has begun: wait for the rest, but not for long."""
        if not self._wait.is_set:
            self._wait.set(ANSWER_SECONDS, self._waited)

    def answered(self, answer: Answer) -> None:
        """The upstream refused by an HTTP answer."""
        refusal = refusal_of_answer(
            self._upstream.traits,
            answer.status,
            answer.headers,
            answer.body,
            self._secrets,
            self._asked,
        )
        self._refuse(refusal, answer.status, self._request_id(answer.headers))

    def malformed(self, error: str) -> None:
        """The upstream does not speak WebSocket."""
        self._record.error = error = scrub(error, self._secrets)
        message = f"The upstream's answer is not a WebSocket handshake: {error}."
        self._refuse(refuse("upstream_refused", message))

    def unanswered(self, reason: Failure) -> None:
        """The connection ended before the WebSocket was open."""
        self._record.error = name_of(reason.value)
        self._refuse(refusal_of_loss(reason.value, self._record.stage))

    def opened(self) -> None:
        """The WebSocket is open: wait for the first event, if this kind of upstream sends one."""
        self.reached("first_event")
        if not self._upstream.speaks_first(self._endpoint):
            self._succeed(None)

    # -- the first event -------------------------------------------------------------------

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """An C{error} event first is a refusal; any other event opens the session."""
        if self._error is not None:
            return  # drop what comes between the error and the Close: it may be much
        event = None if self._over else parse_event(payload)
        if event is not None and event.error is not None:
            self._error = event.error
            self._wait.set(CLOSE_SECONDS, self._waited)
            return
        self._first.append((payload, is_binary))
        if event is not None:
            # The id goes to the log, so it is scrubbed like any text from upstream.
            self._succeed(scrub(event.session_id or "", self._secrets) or None)

    def _waited(self) -> None:
        if self._error is not None:
            self._refuse_opening(None)
        elif self._protocol is not None:
            self._protocol.report_answer()

    def _refuse_opening(self, close: Close | None) -> None:
        error = self._error
        refusal = refusal_of_opening(
            self._upstream.traits, error, close, self._secrets, self._asked
        )
        self._refuse(refusal, None, self._scrubbed(error.request_id if error else None))

    def closed(self, side: Side, close: Close) -> None:
        """The upstream closed before a session, perhaps behind an error."""
        self._refuse_opening(close)

    def faulted(self, side: Side, close: Close) -> None:
        """The upstream broke the WebSocket protocol before a session."""
        message = "The upstream broke the WebSocket protocol at once."
        self._refuse(refuse("upstream_refused", message))

    def silent(self, side: Side) -> None:
        """The WebSocket was open, and the upstream no longer answers."""
        self._refuse(refuse("upstream_timeout"))

    stalled = silent

    def failed(self, side: Side, failure: Failure) -> None:
        """The relay itself failed; the hold logs it."""
        if not self._over:
            self._drop()
            self._result.errback(failure)

    def lost(self, side: Side, reason: Failure) -> None:
        """The connection ended before a first event, or behind an error."""
        self._record.error = name_of(reason.value)
        if self._error is not None:
            self._refuse_opening(None)
        else:
            message = "The upstream dropped the connection before its first event; try again."
            self._refuse(refuse("upstream_connect_failed", message))
