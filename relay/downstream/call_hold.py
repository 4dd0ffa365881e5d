"""The hold of a call: it ends with an upstream's answer, while a plain request waits for it."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from relay.admission.client import Client
from relay.admission.policy import policy_of
from relay.admission.request import Request
from relay.dial.posting import Posting, Replied
from relay.downstream.call import Order, post_to, set_up
from relay.downstream.hold import Hold, HoldContext
from relay.rules.budgets import BUDGETS
from relay.rules.refusals import Refused, refuse
from relay.telemetry.records import HoldRecord

EVENTS_PASS = (
    "Use the WebSocket transport: the policy of this relay limits what a client says, and a call's"
    " events go past the relay."
)
USAGE_PASSES = (
    "Use the WebSocket transport: you have a budget, and the usage of a call goes past the relay."
)


class CallHold(Hold[Replied]):
    """
    One hold; it may end with C{called}.

    @param order: what is asked for.
    """

    def __init__(
        self,
        context: HoldContext,
        request: Request,
        client: Client,
        record: HoldRecord,
        order: Order,
    ) -> None:
        super().__init__(context, request, client, record)
        self._order = order

    def _judge(self) -> None:
        """Refuse what the relay could not hold a client to, and set up the session."""
        settings = self._context.settings
        policy = policy_of(self._grant, settings)
        limits_events = policy.events is not None or policy.lock or settings.policy.policy.force
        if self._order.is_by_webrtc and limits_events:
            raise Refused(refuse("not_supported", EVENTS_PASS))
        is_setting_up = self._order.session is not None
        if is_setting_up and any(getattr(self._budget, name) > 0 for name in BUDGETS):
            raise Refused(refuse("not_supported", USAGE_PASSES))
        self._order = set_up(self._order, policy, self.request.model)
        if is_setting_up:
            model = self.record.model = self._order.model
            self.request = evolve(self.request, body_model=model)

    async def _reach(self, until: float) -> Replied:
        make = partial(Posting, partial(post_to, self._order))
        attempts = self.record.attempts
        dialer = self._context.dialer
        return await dialer.reach(make, self.request, self._grant, attempts, until)

    def _succeeded(self, reached: Replied) -> Replied:
        self._end("called")
        self._visit.end()
        self.record.upstream = reached.upstream.name
        self._context.register.called(self.record)
        return reached
