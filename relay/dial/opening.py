"""Open one upstream: its key, a connection, the handshakes, the first event."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.dial.attempt import Attempt, OpenUpstream
from relay.dial.connector import Connector
from relay.dial.protocol import UpgradeRequest
from relay.http.head import Head
from relay.rules.refusals import Refused, refuse
from relay.rules.subprotocols import for_upstream
from relay.telemetry.records import AttemptRecord
from relay.timing.callbacks import answer_of
from relay.upstreams.providers import Upstream

_log = Logger()


class Opener:
    """
    Makes the attempts of one relay.

    @param clock: of every deadline.
    """

    def __init__(self, connector: Connector, clock: IReactorTime) -> None:
        self._connector = connector
        self._clock = clock

    async def open(self, upstream: Upstream, head: Head, record: AttemptRecord) -> OpenUpstream:
        """
        One attempt. Cancelling it leaves no connection behind; it has no deadline of its own.

        @param record: filled in as the attempt goes on.
        @raise Refused: by the upstream, or by what is in between.
        """
        credential = await self._credential(upstream)
        attempt = Attempt(self._clock, upstream, upstream.secrets(credential), record)
        request = _request(upstream, head, credential)
        try:
            await self._connector.connect(upstream, attempt, request, record)
            opened = await attempt.result
            self._connector.opened(opened)
            return opened
        finally:
            attempt.drop()

    async def _credential(self, upstream: Upstream) -> str | None:
        """The key for this attempt, from its callback if it has one."""
        if upstream.credential is None or isinstance(upstream.credential, str):
            return upstream.credential
        try:
            key = await answer_of(upstream.credential())
            if not (isinstance(key, str) and key.isascii() and key.isprintable()):
                raise ValueError("a credential is one line of ASCII text")
        except CancelledError:
            raise
        except Exception:
            _log.failure("credential callback of {upstream} failed", upstream=upstream.name)
            raise Refused(refuse("authorizer_unavailable")) from None
        return key


def _request(upstream: Upstream, head: Head, credential: str | None) -> UpgradeRequest:
    return UpgradeRequest(
        f"[{upstream.host}]" if ":" in upstream.host else upstream.host,
        upstream.port,
        upstream.target(head.query),
        upstream.headers(credential, head.fields),
        for_upstream(head.subprotocols),
    )
