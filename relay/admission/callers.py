"""Who has how many holds and sessions: by address, and by the subject that a grant names."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from ipaddress import ip_address, ip_network
from math import ceil

from relay.admission.churn import Churn
from relay.admission.client import Client
from relay.admission.quota import GrantLimits, Quota, quota_of_address, quota_of_subject
from relay.admission.recent import Recent
from relay.admission.shared import Claim, Fleet, Lease
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
        self._pay(quota, quota.cost, now)
        self._fit(quota, self.holds + 1)
        self.holds += 1

    def admit_again(self, quota: Quota, now: float) -> None:
        """
        See whether a hold that was counted, for a whole quota, is within this part of it too.

        @raise OverLimit: if it is not.
        """
        self._pay(quota, quota.cost - 1, now)
        self._fit(quota, self.holds)

    def _pay(self, quota: Quota, count: float, now: float) -> None:
        rate = quota.handshakes / MINUTE
        wait = self._handshakes.take(count, now, rate, quota.handshakes) if rate else 0
        if wait:
            raise over_rate(quota.name, wait)

    def _fit(self, quota: Quota, holds: int) -> None:
        if 0 < quota.holds < holds:
            raise over_count(quota.name, "holds")
        if 0 < quota.sessions < holds + self.sessions:
            raise over_count(quota.name, "sessions")


def over_rate(name: str, wait: float, where: str = "") -> OverLimit:
    """
    Too many handshakes.

    @param name: how the settings call the limits.
    @param wait: seconds until the next one.
    @param where: is told to the operator.
    """
    return OverLimit(refuse("rate_limited", retry_after=ceil(wait)), f"{name}_handshakes{where}")


def over_count(name: str, of: str, where: str = "") -> OverLimit:
    """
    Too many at once.

    @param name: how the settings call the limits.
    @param of: what there is too much of: holds, or sessions.
    @param where: is told to the operator.
    """
    return OverLimit(refuse("too_many_sessions"), f"{name}_{of}{where}")


class Callers:
    """
    All callers of one relay.

    @param seconds: the time, by a monotonic clock.
    @ivar fleet: what counts them together with those of other relays; L{None} if it is alone.
    """

    def __init__(self, limits: Limits, seconds: Callable[[], float]) -> None:
        self.limits = limits
        self.fleet: Fleet | None = None
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

    __slots__ = ("_address", "_all", "_churn", "_counted", "_is_session", "_lease", "caller")

    def __init__(self, callers: Callers, client: Client, agent: str) -> None:
        self._all = callers
        self._address = None if client.is_near else key_of(client.address)
        self._churn: Hashable | None = None if client.is_near else (self._address, agent)
        self.caller = "near" if self._address is None else f"address:{self._address}"
        self._counted: list[tuple[Claim, Caller, int]] = []
        self._lease: Lease | None = None
        self._is_session = False

    def arrive(self) -> None:
        """
        Count the hold for the client's address, unless that is this machine's own.

        @raise OverLimit: if the address has too much, or the client is to wait.
        """
        self._must_wait()
        if self._address is not None:
            self._count(Claim("address", self._address, quota_of_address(self._all.limits)))

    def is_granted(self, subject: str | None, limits: GrantLimits) -> None:
        """
        Count the hold for its subject.

        @raise OverLimit: if the subject has too much, or is to wait.
        """
        if subject is not None:
            self._churn = subject
            self.caller = f"subject:{subject}"
            self._must_wait()
            self._count(Claim("subject", subject, quota_of_subject(limits, self._all.limits)))

    async def is_shared(self) -> None:
        """
        Have the fleet count the hold too, if there is one, for all that it is counted for here.

        @raise Refused: if one of these has too much in all relays together; or as the fleet's mode
            says, if it cannot count.
        """
        fleet = self._all.fleet
        claims = [claim for claim, _, _ in self._counted if claim.quota.is_limit]
        if fleet is None or not claims:
            return
        lease = self._lease = await fleet.admit(claims, self.caller)
        for claim, caller, share in self._counted:
            if lease.share > share:  # when it came, the fleet seemed to count
                caller.admit_again(claim.quota.divided(lease.share), self._all.seconds())

    def opened(self) -> None:
        """The hold has become a session."""
        self._is_session = True
        for _, caller, _ in self._counted:
            caller.holds -= 1
            caller.sessions += 1
        if self._lease is not None:
            self._lease.opened()

    def end(self) -> None:
        """It is over. Further calls do nothing."""
        counted, self._counted = self._counted, []
        lease, self._lease = self._lease, None
        for claim, caller, _ in counted:
            caller.sessions -= self._is_session
            caller.holds -= not self._is_session
            self._all.callers.leave((claim.kind, claim.name))
        if lease is not None:
            lease.end()

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

    def _count(self, claim: Claim) -> None:
        key = claim.kind, claim.name
        share = 1 if self._all.fleet is None else self._all.fleet.share
        caller = self._all.callers.use(key)
        try:
            quota = claim.quota if share == 1 else claim.quota.divided(share)
            caller.admit(quota, self._all.seconds())
        except Refused:
            self._all.callers.leave(key)
            raise
        self._counted.append((claim, caller, share))
