"""The hold of a call: it ends with an upstream's answer, while a plain request waits for it."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from relay.admission.client import Client
from relay.admission.policy import policy_of
from relay.admission.request import Request
from relay.dial.posting import Post, Posting, Replied
from relay.downstream.call import Order, call_id_in, post_to, set_up
from relay.downstream.hold import Hold, HoldContext
from relay.http.head import Head
from relay.rules.budgets import BUDGETS
from relay.rules.refusals import Refused, refuse
from relay.telemetry.records import HoldRecord
from relay.timing.clock import epoch
from relay.upstreams.posts import hang_up_of

UNHELD_EVENTS = (
    "Use the WebSocket transport: the policy of this relay limits what a client says, and a call's"
    " events go past the relay."
)
UNHELD_USAGE = (
    "Use the WebSocket transport: you have a budget, and the usage of a call goes past the relay."
)


NAMELESS = "The upstream's answer does not say which call it is."


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
            raise Refused(refuse("not_supported", UNHELD_EVENTS))
        is_setting_up = self._order.session is not None
        if is_setting_up and any(getattr(self._budget, name) > 0 for name in BUDGETS):
            raise Refused(refuse("not_supported", UNHELD_USAGE))
        ends = is_setting_up and self._grant.seconds_left(epoch()) is not None
        if ends and self._context.hang_ups.is_full:
            raise Refused(refuse("relay_full"))
        self._order = set_up(self._order, policy, self.request.model)
        if is_setting_up:
            model = self.record.model = self._order.model
            self.request = evolve(self.request, body_model=model)

    async def _reach(self, until: float) -> Replied:
        make = partial(Posting, partial(post_to, self._order))
        attempts = self.record.attempts
        dialer = self._context.dialer
        replied = await dialer.reach(make, self.request, self._grant, attempts, until)
        left = self._grant.seconds_left(epoch())
        if self._order.session is not None and left is not None:
            self._end_after(left, replied)
        return replied

    def _end_after(self, seconds: float, replied: Replied) -> None:
        """Hang up once the grant has ended."""
        route = self.request.route
        assert route is not None, "a call has one"
        call_id = call_id_in(route, replied.answer)
        if call_id is None:
            raise Refused(refuse("upstream_refused", NAMELESS))
        own = hang_up_of(route, call_id)
        asks = evolve(self.request, route=own, head=Head("POST", own.path.template, 1, ()))
        grant = evolve(self._grant, upstream=replied.upstream.name)
        make = partial(Posting, lambda upstream: Post())
        context = self._context

        async def hang_up() -> Replied:
            until = context.clock.seconds() + context.settings.hold_seconds
            return await context.dialer.reach(make, asks, grant, [], until)

        context.hang_ups.after(seconds, self.request.id, hang_up)

    def _succeeded(self, reached: Replied) -> Replied:
        self._end("called")
        self._visit.end()
        self.record.upstream = reached.upstream.name
        self._context.register.called(self.record)
        return reached
