"""The dial: all attempts of one hold."""

from __future__ import annotations

from collections.abc import Sequence

from relay.attempt import OpenUpstream
from relay.head import Head
from relay.opening import Opener
from relay.providers import Upstream
from relay.records import AttemptRecord
from relay.refusals import Refused


class Dialer:
    """
    Opens upstreams for holds.

    @param upstreams: in the order they are tried.
    """

    def __init__(self, upstreams: Sequence[Upstream], opener: Opener) -> None:
        self._upstreams = upstreams
        self._opener = opener

    async def dial(self, head: Head, attempts: list[AttemptRecord]) -> OpenUpstream:
        """
        Open the first upstream that will have this request.

        Cancelling it leaves no connection behind. It has no deadline of its own.

        @param attempts: each try is recorded here.
        @raise Refused: as the last upstream did. A caller's own mistake is tried nowhere else.
        """
        for upstream in self._upstreams:
            record = AttemptRecord(upstream.name)
            attempts.append(record)
            try:
                return await self._opener.open(upstream, head, record)
            except Refused as refused:
                last = refused
                record.outcome = refused.refusal.code
                if record.outcome == "upstream_rejected_request":
                    break
        raise last
