"""The hold of a session: it ends with an open upstream, while the upgrade is pending."""

from __future__ import annotations

from relay.admission.policy import refusal_by_policy
from relay.dial.opened import OpenUpstream
from relay.downstream.hold import Hold
from relay.peer.protocol import PeerProtocol
from relay.rules.refusals import Refused


class SessionHold(Hold[OpenUpstream]):
    """One hold; it may end with C{opened}, and become a session by L{join}."""

    def _judge(self) -> None:
        refusal = refusal_by_policy(self.request, self._grant, self._context.settings)
        if refusal is not None:
            raise Refused(refusal)

    async def _reach(self, until: float) -> OpenUpstream:
        attempts = self.record.attempts
        return await self._context.dialer.dial(self.request, self._grant, attempts, until)

    def _succeeded(self, reached: OpenUpstream) -> OpenUpstream:
        self._end("opened")
        self._visit.opened()
        self.record.upstream = reached.upstream.name
        self._context.register.opened(self.record)
        return reached

    def join(self, downstream: PeerProtocol, opened: OpenUpstream) -> None:
        """The downstream has its 101: make the session."""
        self._begin(downstream, opened, self.request.head.subprotocols)

    def forgo(self) -> None:
        """There will be no session, though the hold ended with one."""
        self._visit.end()
