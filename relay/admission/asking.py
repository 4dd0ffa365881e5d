"""Requests to web services of the operator's own: an issuer's keys, and a callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseFailed,
)
from twisted.web.http_headers import Headers

from relay.config.certificates import authorities
from relay.rules.errors import RelayError
from relay.timing.deadline import limit


class NoAnswer(RelayError):
    """There is no whole answer; the text says why, for the operator."""


@frozen
class Answer:
    """An answer, whole."""

    status: int
    body: bytes


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
        # A client of its own for each request, because one keeps what cookies it is given.
        asked = HTTPClient(agent).request(
            method,
            url,
            headers=Headers({name: [value] for name, value in headers.items()}),
            data=body,
            allow_redirects=False,
            unbuffered=True,
        )
        work = Deferred.fromCoroutine(_whole(asked, most))
        late = NoAnswer(f"no answer within {seconds:g} s")
        limit(work, seconds, IReactorTime(reactor), lambda: late, _now)
        return work

    return ask


async def _whole(asked: Deferred[Any], most: int) -> Answer:
    """
    The answer, once all of it is there.

    @raise NoAnswer: if it does not come, or has more bytes.
    """
    body = bytearray()

    def collect(part: bytes) -> None:
        if len(body) + len(part) > most:
            raise NoAnswer(f"its answer has more than {most} bytes")
        body.extend(part)

    try:
        response = await asked
        await response.collect(collect)
    except (NoAnswer, CancelledError):
        raise
    except (RequestTransmissionFailed, ResponseFailed) as error:
        # Twisted's client wraps even what comes of being cancelled.
        if any(each.check(CancelledError) for each in error.reasons):
            raise CancelledError from None
        raise NoAnswer(", ".join(each.getErrorMessage() for each in error.reasons)[:200]) from None
    except Exception as error:
        raise NoAnswer(f"{type(error).__name__}: {error}"[:200]) from None
    return Answer(response.code, bytes(body))


def _now(act: Callable[[], None]) -> None:
    act()
