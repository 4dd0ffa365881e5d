"""One try to post a request to one upstream, from the connection to the whole answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from relay.admission.asking import Answer, NoAnswer, whole_answer
from relay.admission.grant import Grant
from relay.admission.request import Request
from relay.dial.connector import Connector, NotConnected
from relay.dial.race import OneConnection
from relay.dial.tls import name_of
from relay.dial.trying import Trying, is_loss, refusal_of_loss
from relay.rules.addresses import bracketed
from relay.rules.refusals import Refused, Stage, refuse
from relay.telemetry.records import AttemptRecord
from relay.upstreams.carried import words_of
from relay.upstreams.classify import refusal_of_answer
from relay.upstreams.upstream import Upstream

MOST_BYTES = 262_144
"""Most bytes of an answer."""


@frozen
class Post:
    """
    What is posted.

    @ivar kind: the type of the body; empty if there is none.
    """

    body: bytes = field(default=b"", repr=False)
    kind: str = ""


@frozen
class Replied:
    """What an upstream answered: a status of success."""

    upstream: Upstream
    answer: Answer

    def when_lost(self, call: Callable[[], object]) -> None:
        """The connection ended with the answer."""
        call()


class Posting(Trying):
    """
    One try.

    @param post: what is posted to an upstream.
    """

    def __init__(
        self,
        post: Callable[[Upstream], Post],
        connector: Connector,
        clock: IReactorTime,
        upstream: Upstream,
        record: AttemptRecord,
    ) -> None:
        super().__init__(connector, clock, upstream, record)
        self._post = post

    async def open(self, asked: Request, grant: Grant) -> Replied:
        """
        Post, and wait for the answer. It has no deadline of its own. Cancelling it leaves no
        connection behind.

        @param asked: the downstream's request, whose path has a route.
        @param grant: what it may have.
        @raise Refused: if the upstream, or something on the way to it, refuses.
        """
        assert asked.route is not None, "only what is served is posted"
        upstream = self._upstream
        credential = await self._begun(asked, asked.route, grant)
        post = self._post(upstream)
        self._asked |= words_of([post.body.decode("utf-8", "replace")])
        headers = upstream.request_headers(credential, asked.head.fields, grant.headers)
        if post.kind:
            headers["Content-Type"] = post.kind
        scheme = "https" if upstream.secure else "http"
        place = f"{scheme}://{bracketed(upstream.host)}:{upstream.port}"
        url = place + upstream.target(asked.route, ())
        try:
            answer = await whole_answer(
                self._clock, self._agent(), "POST", url, headers, post.body, MOST_BYTES
            )
        except NoAnswer as fault:
            raise self._unanswered(fault) from None
        if not 200 <= answer.status < 300:
            raise self._declined(answer)
        self._record.outcome = "open"
        self._passed()
        return Replied(upstream, answer)

    def _agent(self) -> Agent:
        reactor: Any = self._clock
        pool = HTTPConnectionPool(reactor, persistent=False)
        place = _Place(self._connector, self._upstream, self.reached)
        agent: Agent = Agent.usingEndpointFactory(reactor, place, pool)
        return agent

    def _unanswered(self, fault: NoAnswer) -> Refused:
        error = fault.error
        if isinstance(error, NotConnected):
            return self._not_connected(error)
        if error is None:
            return self._refused(refuse("upstream_refused", f"The upstream failed: {fault}."))
        self._record.error = name_of(error)
        if self._record.stage == "response" and not is_loss(error):
            return self._refused(refuse("upstream_refused", "The upstream's answer is no HTTP."))
        return self._refused(refusal_of_loss(error, self._record.stage))

    def _declined(self, answer: Answer) -> Refused:
        traits, secrets = self._upstream.traits, self._secrets
        refusal = refusal_of_answer(
            traits, answer.status, answer.headers, answer.body, secrets, self._asked
        )
        return self._refused(refusal, answer.status, self._request_id(answer.headers))


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Place:
    """
    The one upstream that an agent connects to, whatever the URL says, in the way in which
    WebSockets are opened: by its proxy, its certificate and its addresses.
    """

    def __init__(
        self, connector: Connector, upstream: Upstream, reached: Callable[[Stage], None]
    ) -> None:
        self._connector = connector
        self._upstream = upstream
        self._reached = reached

    def endpointForURI(self, uri: Any) -> _Place:
        """This place."""
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint}."""
        return Deferred.fromCoroutine(self._connected(protocolFactory))

    async def _connected(self, factory: IProtocolFactory) -> IProtocol:
        made: Deferred[IProtocol] = Deferred()
        first: Stage = "tls" if self._upstream.secure else "response"
        tell = partial(self._reached, "response")

        def each() -> _Factory:
            return _Factory(factory, made, partial(self._reached, first), tell)

        await self._connector.reach(self._upstream, each, self._tell)
        return await made

    def _tell(self, stage: Stage) -> None:
        """What is an upgrade of a WebSocket is a plain request here."""
        self._reached("response" if stage == "upgrade" else stage)


class _Factory(OneConnection[IProtocol]):
    """Makes the protocol of one connection."""

    def __init__(
        self,
        inner: IProtocolFactory,
        made: Deferred[IProtocol],
        connected: Callable[[], None],
        secured: Callable[[], None],
    ) -> None:
        super().__init__()
        self._inner = inner
        self._told = (made, connected, secured)

    def buildProtocol(self, addr: Any) -> _Watched:
        """The protocol of this connection."""
        inner = self._inner.buildProtocol(addr)
        assert inner is not None, "an agent's factory always builds one"
        protocol = _Watched(inner, *self._told)
        self.built(protocol)
        return protocol


@implementer(IHandshakeListener)
class _Watched(Protocol):
    """
    Passes all on to an inner protocol, and tells how the connection goes on.

    @param made: fires with the inner protocol once that has its transport.
    """

    def __init__(
        self,
        inner: IProtocol,
        made: Deferred[IProtocol],
        connected: Callable[[], None],
        secured: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._made = made
        self._connected = connected
        self._secured = secured

    def connectionMade(self) -> None:
        """There is a connection."""
        assert self.transport is not None, "there is one"
        self._connected()
        self._inner.makeConnection(self.transport)
        self._made.callback(self._inner)

    def handshakeCompleted(self) -> None:
        """The TLS handshake is done."""
        self._secured()

    def dataReceived(self, data: bytes) -> None:
        """Pass it on."""
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass it on."""
        self._inner.connectionLost(reason)
