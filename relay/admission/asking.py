"""Requests to web services of the operator's own: an issuer's keys, and a callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen
from OpenSSL import SSL
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from relay.config.certificates import authorities
from relay.rules.errors import RelayError
from relay.timing.deadline import limit


class NoAnswer(RelayError):
    """
    There is no whole answer; the text says why, for the operator.

    @ivar error: the error below, if there is one.
    """

    def __init__(self, why: str, error: BaseException | None = None) -> None:
        super().__init__(why)
        self.error = error


@frozen
class Answer:
    """
    An answer, whole.

    @ivar headers: the values of its header fields, by their names in lower case.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False, eq=False)


Ask = Callable[[str, str, Mapping[str, str], bytes], Deferred[Answer]]
"""Asks by this method, at this URL, with these headers and this body; fails with L{NoAnswer}."""


def asking(reactor: Any, ca_file: str | None, seconds: float, most: int) -> Ask:
    """
    What asks a service. It follows no redirect, keeps no cookie, and no connection.

    @param ca_file: of the authorities by which it is checked; L{None} for the machine's.
    @param seconds: how long an answer is waited for.
    @param most: bytes of its body.
    @raise CertificateFault: if C{ca_file} cannot be used.
    """
    roots = {} if ca_file is None else {"trustRoot": authorities(ca_file)}
    pool = HTTPConnectionPool(reactor, persistent=False)
    agent = Agent(reactor, BrowserLikePolicyForHTTPS(**roots), pool=pool)

    def ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Deferred[Answer]:
        work = Deferred.fromCoroutine(
            whole_answer(reactor, agent, method, url, headers, body, most)
        )
        late = NoAnswer(f"no answer within {seconds:g} s")
        limit(work, seconds, IReactorTime(reactor), lambda: late)
        return work

    return ask


async def whole_answer(
    reactor: Any,
    agent: IAgent,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    most: int,
) -> Answer:
    """
    The answer to one request. It has no deadline of its own. Cancelling it leaves no connection
    behind.

    @param most: bytes of the answer's body.
    @raise NoAnswer: if it does not come, or has more bytes.
    """
    # One for each question, because it would send the cookies of one answer with the next.
    asked = HTTPClient(_Plain(agent)).request(
        method,
        url,
        headers=Headers({name: [value] for name, value in headers.items()}),
        data=_Sent(body) if body else None,
        allow_redirects=False,
        unbuffered=True,
        reactor=reactor,  # without one, treq imports the global one, which installs it
    )
    return await _whole(asked, most)


@implementer(IBodyProducer)
class _Sent:
    """A body, sent at once. treq's own would take turns of the global reactor for it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Send it."""
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: it is sent."""

    resumeProducing = stopProducing = pauseProducing


@implementer(IAgent)
class _Plain:
    """
    Passes answers on as they come. treq asks for gzip and inflates it, and a few bytes of that can
    become any number.
    """

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See L{IAgent}."""
        sent = Headers() if headers is None else headers.copy()
        sent.removeHeader(b"accept-encoding")
        return self._agent.request(method, uri, sent, bodyProducer).addCallback(_as_it_is)


def _as_it_is(response: IResponse) -> IResponse:
    response.headers.removeHeader(b"content-encoding")
    return response


async def _whole(asked: Deferred[Any], most: int) -> Answer:
    """
    The answer, once all of it is there.

    @raise NoAnswer: if it does not come, or has more bytes.
    """
    try:
        response = await asked
        body = _Body(most)
        response.deliverBody(body)
        fields = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        return Answer(response.code, await body.whole, fields)
    except (NoAnswer, CancelledError):
        raise
    except (RequestTransmissionFailed, ResponseFailed) as error:
        # Twisted's client wraps even what comes of being cancelled.
        if any(each.check(CancelledError) for each in error.reasons):
            raise CancelledError from None
        names = ", ".join(map(_name_of, error.reasons))
        raise NoAnswer(names, error.reasons[-1].value) from None
    except Exception as error:
        raise NoAnswer(_name_of(Failure()), error) from None


def _name_of(failure: Failure) -> str:
    """The name of an error; of OpenSSL's, its reason. Its text may quote what was received."""
    error = failure.value
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return str(error.args[0][-1][-1])
    return type(error).__name__


class _Body(Protocol):
    """Collects a body of C{most} bytes at most. Cancelling C{whole} drops the connection."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._data = bytearray()
        self.whole: Deferred[bytes] = Deferred(lambda _: self._drop())

    def dataReceived(self, data: bytes) -> None:
        """Keep it, as long as it is not too much."""
        self._data += data
        if len(self._data) > self._most:
            if not self.whole.called:
                self.whole.errback(NoAnswer(f"its answer has more than {self._most} bytes"))
            self._drop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is whole, or will never be."""
        if self.whole.called:
            return
        # Without a length the end is the connection's; half of a JSON object is none.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._data))
        else:
            self.whole.errback(NoAnswer("its answer broke off"))

    def _drop(self) -> None:
        self._data.clear()
        if self.transport is not None:
            self.transport.loseConnection()
