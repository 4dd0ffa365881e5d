"""The message plane of a session with a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from relay.dial.opened import OpenUpstream
from relay.peer.interfaces import Downstream
from relay.policy.check import Check, Rejected
from relay.policy.policy import Policy
from relay.rules.closes import Side
from relay.rules.said import Said
from relay.session.glance import Seen
from relay.session.message import MessagePlane
from relay.session.peek import Peek


class CheckedPlane(MessagePlane):
    """
    Looks at each message before it crosses.

    @param introduces: whether the policy's own C{session.update} goes before the client's events.
    @param rejected: is called with what upstream said if it does not take that.
    """

    def __init__(
        self,
        downstream: Downstream,
        upstream: Downstream,
        peek: Peek | None,
        check: Check,
        introduces: bool,
        rejected: Callable[[Said], None],
    ) -> None:
        super().__init__(downstream, upstream, peek)
        self._check = check
        self._introduces = introduces
        self._rejected = rejected

    def start(self, first: Sequence[tuple[bytes, bool]]) -> None:
        """Send what upstream sent before there was a downstream, then the policy's values."""
        super().start(first)
        created = first[0][0] if first else b""
        values = self._check.first(created) if self._introduces else None
        if values is not None:
            self._upstream.relay(values, False)

    def message(self, side: Side, payload: bytes, is_binary: bool) -> None:
        """Send to the other side what it may have of what C{side} sent."""
        if side == "upstream":
            self._answer(payload, is_binary)
            return
        goes_to, checked = self._check.sent(payload, is_binary)
        if goes_to == "upstream":
            self.cross(side, checked, False)
        else:
            # To a client that does not read they would pile up, so it is not told then.
            self._downstream.tell(checked)

    def watch(self, seen: Seen | None) -> None:
        """
        Show the session as the client sees it: what that sends, before the policy changes it, and
        what that gets. So nobody sees instructions that the policy hides.
        """
        if seen is None:
            del self.message, self.cross
        else:
            self.message = self._shown("downstream", self.message, seen)  # type: ignore[assignment, method-assign]
            self.cross = self._shown("upstream", self.cross, seen)  # type: ignore[assignment, method-assign]

    def _answer(self, payload: bytes, is_binary: bool) -> None:
        try:
            checked = payload if is_binary else self._check.received(payload)
        except Rejected as rejected:
            self._rejected(rejected.said)
            return
        if checked is not None:
            self.cross("upstream", checked, is_binary)


def checking(
    policy: Policy | None,
    request_id: str,
    downstream: Downstream,
    opened: OpenUpstream,
    peek: Peek | None,
    rejected: Callable[[Said], None],
) -> Callable[[], CheckedPlane] | None:
    """What makes the plane of a session with this policy; L{None} if that asks for nothing."""
    if not policy:
        return None
    introduces = opened.endpoint.first_event == "session.created"
    check = Check(policy, request_id)
    return partial(CheckedPlane, downstream, opened.protocol, peek, check, introduces, rejected)
