"""Who has how many holds and sessions: by address, and by the subject that a grant names."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from ipaddress import ip_address, ip_network
from math import ceil

from relay.admission.churn import Churn
from relay.admission.client import Client
from relay.admission.quota import GrantLimits, Quota, quota_of_address, quota_of_subject
from relay.admission.recent import Recent
from relay.config.settings import Limits
from relay.rules.refusals import Refusal, Refused, refuse
from relay.timing.allowance import Allowance

CAPACITY = 10_000
"""Callers that are remembered though they have nothing open. Each takes less than 1 KiB."""

MINUTE = 60.0

CHURNS = "Your sessions keep ending within seconds; find out why, and connect again later."


def key_of(address: str) -> str:
    """What counts as one address: of IPv6 a /64, because a single host often has a whole one."""
    try:
        version = ip_address(address).version
    except ValueError:
        return address
    return address if version == 4 else str(ip_network(f"{address.partition('%')[0]}/64", False))


class OverLimit(Refused):
    """A caller has too much; C{detail} tells the operator which limit that is."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(refusal)
        self.detail = detail


class Caller:
    """One address or subject: what it has open, and how many holds began lately."""

    __slots__ = ("_handshakes", "holds", "sessions")

    def __init__(self) -> None:
        self.holds = self.sessions = 0
        self._handshakes = Allowance()

    def admit(self, quota: Quota, now: float) -> None:
        """
        Count one hold more.

        @raise OverLimit: if that is more than the quota has; then nothing is counted.
        """
        rate = quota.handshakes / MINUTE
        wait = self._handshakes.take(1, now, rate, quota.handshakes) if rate else 0
        if wait:
            over = refuse("rate_limited", retry_after=ceil(wait))
            raise OverLimit(over, f"{quota.name}_handshakes")
        if 0 < quota.holds <= self.holds:
            raise OverLimit(refuse("too_many_sessions"), f"{quota.name}_holds")
        if 0 < quota.sessions <= self.holds + self.sessions:
            raise OverLimit(refuse("too_many_sessions"), f"{quota.name}_sessions")
        self.holds += 1


class Callers:
    """
    All callers of one relay.

    @param seconds: the time, by a monotonic clock.
    """

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self.limits = limits
        self.seconds = seconds
        self.callers: Recent[Hashable, Caller] = Recent(Caller, CAPACITY)
        self.churns: Recent[Hashable, Churn] = Recent(Churn, CAPACITY)

    def visit(self, client: Client, agent: str) -> Visit:
        """
        A client that asks for a session.

        @param agent: its User-Agent. Without a subject, only clients of one address with the same
            one are slowed together, because many people may share an address.
        """
        return Visit(self, client, agent[:200])


class Visit:
    """
    One hold, and the session that it may become, as it counts for its address and its subject. It
    ends once, by L{end}.

    @ivar caller: whose budget it spends: the subject's, or without one the address's. Programs of
        this machine without a subject share one.
    """

    __slots__ = ("_address", "_all", "_churn", "_counted", "_is_session", "caller")

    def __init__(self, callers: Callers, client: Client, agent: str) -> None:
        self._all = callers
        self._address = None if client.is_near else key_of(client.address)
        self._churn: Hashable | None = None if client.is_near else (self._address, agent)
        self.caller = "near" if self._address is None else f"address:{self._address}"
        self._counted: list[tuple[Hashable, Caller]] = []
        self._is_session = False

    def arrive(self) -> None:
        """
        Count the hold for the client's address, unless that is this machine's own.

        @raise OverLimit: if the address has too much, or the client is to wait.
        """
        self._must_wait()
        if self._address is not None:
            self._count(("address", self._address), quota_of_address(self._all.limits))

    def is_granted(self, subject: str | None, limits: GrantLimits) -> None:
        """
        Count the hold for its subject.

        @raise OverLimit: if the subject has too much, or is to wait.
        """
        if subject is not None:
            self._churn = subject
            self.caller = f"subject:{subject}"
            self._must_wait()
            self._count(("subject", subject), quota_of_subject(limits, self._all.limits))

    def opened(self) -> None:
        """The hold has become a session."""
        self._is_session = True
        for _, caller in self._counted:
            caller.holds -= 1
            caller.sessions += 1

    def end(self) -> None:
        """It is over. Further calls do nothing."""
        counted, self._counted = self._counted, []
        for key, caller in counted:
            caller.sessions -= self._is_session
            caller.holds -= not self._is_session
            self._all.callers.leave(key)

    def closed(self, seconds: float, gently: bool) -> None:
        """
        Its session ended.

        @param seconds: how long it was open.
        @param gently: whether the client itself was done with it.
        """
        self.end()
        allowed = self._all.limits.short_sessions
        if allowed and not gently and self._churn is not None:
            churn = self._all.churns.use(self._churn)
            churn.ended(seconds, self._all.seconds(), allowed)
            self._all.churns.leave(self._churn)

    def _must_wait(self) -> None:
        if self._churn is None:
            return
        wait = self._all.churns.use(self._churn).wait(self._all.seconds())
        self._all.churns.leave(self._churn)
        if wait:
            raise OverLimit(
                refuse("rate_limited", CHURNS, retry_after=ceil(wait)), "short_sessions"
            )

    def _count(self, key: Hashable, quota: Quota) -> None:
        caller = self._all.callers.use(key)
        try:
            caller.admit(quota, self._all.seconds())
        except Refused:
            self._all.callers.leave(key)
            raise
        self._counted.append((key, caller))
