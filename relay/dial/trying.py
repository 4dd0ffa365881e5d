"""What all tries to reach one upstream have in common: the key, the stages, the refusal."""

from __future__ import annotations

from collections.abc import Mapping

from OpenSSL import SSL
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.admission.grant import Grant
from relay.admission.request import Request
from relay.dial.connector import DROPPED, Connector, NotConnected
from relay.dial.tls import is_alert
from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, Refused, Stage, UpstreamFacts, attributed, refuse
from relay.rules.scrub import scrub
from relay.telemetry.records import AttemptRecord
from relay.timing.callbacks import answer_of
from relay.upstreams.carried import words_of
from relay.upstreams.credential import CREDENTIAL, is_credential
from relay.upstreams.endpoints import Route
from relay.upstreams.upstream import Upstream

_log = Logger()

_REQUEST_IDS = ("x-request-id", "apim-request-id")

_DROPPED = (ConnectionLost, ConnectionDone, ConnectionAborted)


def is_loss(error: BaseException | None) -> bool:
    """Whether the connection ended, and not what is spoken over it."""
    return isinstance(error, (*_DROPPED, SSL.Error))


def refusal_of_loss(error: BaseException | None, stage: Stage | None) -> Refusal:
    """What it means that a connection ended, by this error, before there was an answer."""
    if is_alert(error):
        # With TLS 1.3 a server refuses the client's certificate after the handshake.
        message = "The upstream refused the relay's TLS; the relay's operator must correct it."
        return refuse("upstream_tls_failed", message)
    if stage == "tls" and not isinstance(error, _DROPPED):
        return refuse("upstream_tls_failed")
    return refuse("upstream_connect_failed", DROPPED)


class Trying:
    """
    One try.

    @param connector: makes the connection.
    @param clock: the clock of all deadlines.
    @param record: filled in as the try goes on.
    """

    def __init__(
        self, connector: Connector, clock: IReactorTime, upstream: Upstream, record: AttemptRecord
    ) -> None:
        self._connector = connector
        self._clock = clock
        self._upstream = upstream
        self._record = record
        self._secrets: tuple[str, ...] = ()
        self._asked: frozenset[str] = frozenset()
        self._since = 0.0

    async def _begun(self, asked: Request, route: Route, grant: Grant) -> str | None:
        """
        Begin: note what the client says, and what must not show.

        @return: the key to send.
        """
        credential = await self._credential(grant.credential)
        self._secrets = self._upstream.secrets(credential)
        self._asked = words_of([*(value for _, value in asked.head.query), *route.parts.values()])
        self._since = self._clock.seconds()
        return credential

    async def _credential(self, granted: str | None) -> str | None:
        """The key for this attempt: the grant's, the upstream's, or what its callback answers."""
        if granted is not None:
            return self._sent_safely(granted)
        credential = self._upstream.credential
        if credential is None or isinstance(credential, str):
            return credential
        try:
            key = await answer_of(credential())
            if not is_credential(key):
                raise InvalidValue(f"a credential is a string of {CREDENTIAL}")
        except CancelledError:
            raise
        except Exception:
            _log.failure("credential callback of {upstream} failed", upstream=self._upstream.name)
            raise Refused(refuse("authorizer_unavailable")) from None
        return key

    def _sent_safely(self, granted: str) -> str:
        if self._upstream.exposed:
            name = self._upstream.name
            _log.error("no grant's credential is sent in clear to upstream {name}", name=name)
            raise Refused(refuse("internal_error"))
        return granted

    def reached(self, stage: Stage) -> None:
        """C{stage} begins, so the one before is done."""
        self._passed()
        self._record.stage = stage

    def _passed(self) -> None:
        now = self._clock.seconds()
        if self._record.stage is not None:
            self._record.stages[self._record.stage] = now - self._since
        self._since = now

    def _refused(
        self, refusal: Refusal, status: int | None = None, request_id: str | None = None
    ) -> Refused:
        """The refusal with what is known of this upstream; recorded as the outcome."""
        self._record.outcome = refusal.code
        self._record.said = refusal.said or None
        facts = UpstreamFacts(
            self._upstream.name, self._record.stage, status, request_id, refusal.upstream
        )
        return Refused(attributed(refusal, facts))

    def _not_connected(self, fault: NotConnected) -> Refused:
        self._record.error = fault.error
        return self._refused(fault.refusal)

    def _request_id(self, headers: Mapping[str, str]) -> str | None:
        found = (headers[name] for name in _REQUEST_IDS if name in headers)
        return self._scrubbed(next(found, None))

    def _scrubbed(self, request_id: str | None) -> str | None:
        return request_id and scrub(request_id, self._secrets)
