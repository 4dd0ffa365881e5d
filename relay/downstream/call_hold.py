"""The hold of a call: it ends with an upstream's answer, while a plain request waits for it."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from relay.admission.client import Client
from relay.admission.policy import policy_of
from relay.admission.request import Request
from relay.dial.opened import OpenUpstream
from relay.dial.posting import Post, Posting, Replied
from relay.downstream.call import Order, call_id_in, post_to, set_up
from relay.downstream.hang_ups import HangUp, hang_up_now
from relay.downstream.hold import Hold, HoldContext
from relay.http.head import Head
from relay.policy.policy import Policy
from relay.recording.recordings import is_chosen
from relay.rules.budgets import BUDGETS
from relay.rules.refusals import Refused, refuse
from relay.session.call_end import CallEnd
from relay.telemetry.records import HoldRecord
from relay.timing.clock import epoch
from relay.upstreams.endpoints import Route
from relay.upstreams.posts import hang_up_of, sideband_of

UNHELD_EVENTS = (
    "Use the WebSocket transport: the policy of this relay limits what a client says, and a call's"
    " events go past the relay."
)
UNHELD_USAGE = (
    "Use the WebSocket transport: you have a budget, and the usage of such a call goes past the"
    " relay."
)

UNHEARD = "The upstream does not let the relay listen to the call, which the relay has to."

NAMELESS = "The upstream's answer does not say which call it is."


class CallHold(Hold[Replied]):
    """
    One hold; it may end with C{called}, or with C{opened} for a call that the relay hears.

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
        self._is_heard = False
        self._sideband: OpenUpstream | None = None
        self._hang_up: HangUp | None = None

    def _judge(self) -> None:
        """Refuse what the relay could not hold a client to, and set up the session."""
        policy = policy_of(self._grant, self._context.settings)
        self._refuse_unheld(policy)
        is_setting_up = self._order.session is not None
        if is_setting_up:
            self._is_heard = self._can_be_heard and self._is_to_be_heard
            waits = not self._is_heard and self._seconds_left is not None
            if waits and self._context.hang_ups.is_full:
                raise Refused(refuse("relay_full"))
        self._order = set_up(self._order, policy, self.request.model)
        if is_setting_up:
            model = self.record.model = self._order.model
            self.request = evolve(self.request, body_model=model)

    def _refuse_unheld(self, policy: Policy) -> None:
        forced = self._context.settings.policy.policy.force
        limits_events = policy.events is not None or policy.lock or forced
        if self._order.is_by_webrtc and limits_events:
            raise Refused(refuse("not_supported", UNHELD_EVENTS))
        if self._order.session is not None and self._has_budget and not self._can_be_heard:
            raise Refused(refuse("not_supported", UNHELD_USAGE))

    @property
    def _route(self) -> Route:
        assert self.request.route is not None, "a call has one"
        return self.request.route

    @property
    def _has_budget(self) -> bool:
        return any(getattr(self._budget, name) > 0 for name in BUDGETS)

    @property
    def _seconds_left(self) -> float | None:
        return self._grant.seconds_left(epoch())

    @property
    def _can_be_heard(self) -> bool:
        return sideband_of(self._route, "") is not None

    @property
    def _is_to_be_heard(self) -> bool:
        settings = self._context.settings
        is_recorded = settings.record is not None and is_chosen(self.record, settings)
        return self._has_budget or is_recorded or self._seconds_left is not None

    # -- the call --------------------------------------------------------------------------

    async def _reach(self, until: float) -> Replied:
        make = partial(Posting, partial(post_to, self._order))
        attempts = self.record.attempts
        dialer = self._context.dialer
        replied = await dialer.reach(make, self.request, self._grant, attempts, until)
        left = self._seconds_left
        if self._order.session is None or not (self._is_heard or left is not None):
            return replied
        call_id = call_id_in(self._route, replied.answer)
        if call_id is None:
            raise Refused(refuse("upstream_refused", NAMELESS))
        hang_up = self._hang_up = self._hanging_up(call_id, replied)
        if self._is_heard:
            await self._hear(call_id, replied, until)
        elif left is not None:
            self._context.hang_ups.after(left, self.request.id, hang_up)
        return replied

    def _hanging_up(self, call_id: str, replied: Replied) -> HangUp:
        own = hang_up_of(self._route, call_id)
        asks = self._asking("POST", own, own.path.template)
        grant = evolve(self._grant, upstream=replied.upstream.name)
        make = partial(Posting, lambda upstream: Post())
        context = self._context

        async def hang_up() -> Replied:
            until = context.clock.seconds() + context.settings.hold_seconds
            return await context.dialer.reach(make, asks, grant, [], until)

        return hang_up

    async def _hear(self, call_id: str, replied: Replied, until: float) -> None:
        """
        Attach to the call.

        @raise Refused: if that cannot be. Then the call is hung up, because it could not be held to
            anything.
        """
        sideband = sideband_of(self._route, call_id)
        assert sideband is not None, "it is a call that can be heard"
        assert self._hang_up is not None, "the call is there"
        asks = self._asking("GET", *sideband)
        grant = evolve(self._grant, upstream=replied.upstream.name)
        attempts = self.record.attempts
        try:
            self._sideband = await self._context.dialer.dial(asks, grant, attempts, until)
        except BaseException as error:  # also for CancelledError, which is raised again
            hang_up_now(self.request.id, self._hang_up)
            if isinstance(error, Refused) and error.refusal.code == "upstream_rejected_request":
                facts = error.refusal.upstream  # the relay has asked, not its client
                raise Refused(refuse("upstream_refused", UNHEARD, upstream=facts)) from None
            raise

    def _asking(self, method: str, route: Route, target: str) -> Request:
        """A request of the relay's own about this call."""
        head = Head(method, target, 1, ())
        return evolve(self.request, route=route, head=head, body_model=None, body_kinds=())

    def _succeeded(self, reached: Replied) -> Replied:
        self.record.upstream = reached.upstream.name
        if self._sideband is None:
            self._end("called")
            self._visit.end()
            self._context.register.called(self.record)
        else:
            self._opened(self._sideband)
        return reached

    def _opened(self, sideband: OpenUpstream) -> None:
        assert self._hang_up is not None, "there is one for what is heard"
        self._end("opened")
        self._visit.opened()
        self._context.register.opened(self.record)
        hang_up = partial(hang_up_now, self.request.id, self._hang_up)
        try:
            self._begin(CallEnd(hang_up, self._context.clock), sideband, ())
        except Exception:
            self._visit.end()
            sideband.protocol.abort()
            hang_up()
            raise
