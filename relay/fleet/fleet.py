"""One relay's part in its fleet: it asks the store, tells it of its leases, and hears of others."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from secrets import token_hex
from typing import Any, Literal

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.admission.shared import Claim
from relay.config.fleet_table import FleetTable
from relay.fleet import scripts
from relay.fleet.changes import Changes
from relay.fleet.days import SharedLedger
from relay.fleet.leases import Leased, Leases, Places
from relay.fleet.names import Names
from relay.fleet.question import over_limit, question
from relay.fleet.revocations import KEY, SUBJECT, Revocations
from relay.fleet.scripts import Script
from relay.fleet.standing import Standing
from relay.fleet.store import Store, StoreFault
from relay.rules.refusals import Refused, refuse
from relay.timing.clock import epoch
from relay.timing.deadline import Deadline
from relay.timing.in_time import in_time

_log = Logger()

ANSWER_SECONDS = 0.25
"""Until the store must have answered; then the mode decides."""

BEAT_SECONDS = 0.5
"""Between two signs of life, and two looks at what was revoked."""

STUCK_SECONDS = 2.0
"""Until a connection is given up on which a sign of life has no answer."""

RENEWALS = 3
"""How often a lease is renewed before it would end."""

CHUNK = 100
"""Leases in one script, so that neither side takes more than a millisecond or two."""

LATE = f"no answer within {ANSWER_SECONDS * 1000:g} ms"

Outcome = Literal["admitted", "over_limit", "by_mode"]

Decided = Callable[[Outcome, float], None]
"""Is told of each decision, and how many seconds the store took for it."""


class SharedFleet:
    """
    A L{relay.admission.shared.Fleet}.

    @param table: the settings.
    @param connect: makes the connection, given what is told of it.
    @param decided: is told of each decision.
    """

    def __init__(
        self,
        table: FleetTable,
        connect: Callable[[SharedFleet], Store],
        clock: IReactorTime,
        decided: Decided,
    ) -> None:
        self._table = table
        self._clock = clock
        self._decided = decided
        self._store = connect(self)
        self._names = Names(table.prefix)
        self._relay = token_hex(8)
        self._run = ""
        self._count = 0
        self._alive = 0
        self._standing = Standing(clock.seconds())
        self._changes = Changes(table)
        self.ledger = SharedLedger(
            self._ask,
            lambda: self._standing.answers,
            self._names,
            self._relay,
            lambda: clock.seconds(),
            epoch,
        )
        self._leases = Leases(table.lease_seconds / RENEWALS)
        self._revocations = Revocations(self._ask, self._names.revoked)
        self._next = Deadline(clock)
        self._stuck = Deadline(clock)
        self._beating = False

    # -- what admission asks ---------------------------------------------------------------

    @property
    def share(self) -> int:
        """By how much the limits are to be divided now."""
        return self._share if not self._standing.is_up else 1

    @property
    def _share(self) -> int:
        return self._table.relays if self._table.mode == "local" else 1

    async def admit(self, claims: Sequence[Claim], caller: str) -> Leased:
        """
        Count one hold more. It takes one round trip, and L{ANSWER_SECONDS} at most.

        @param caller: whose budget it spends.
        @raise Refused: if a caller has too much, or if nobody is let in while the store is away.
        """
        lease = self._lease(claims)
        if not self._standing.answers:
            return self._by_mode(lease, 0.0)
        began = self._clock.seconds()
        try:
            day = self.ledger.key(caller)
            asked = question(self._names, self._common(), lease.name, claims, day)
            over, answer, wait, *spent = await self._ask(scripts.DECIDE, *asked)
        except StoreFault:
            return self._by_mode(lease, self._clock.seconds() - began)
        except CancelledError:  # the client is gone; the store may have counted it, or will
            lease.end()
            raise
        took = self._clock.seconds() - began
        if over:
            self._decided("over_limit", took)
            raise over_limit(claims[over - 1], answer, wait / 1e6)
        self._leases.add(lease, self._clock.seconds())
        self.ledger.learn(caller, *spent)
        if not answer:
            return self._by_mode(lease, took)
        self._decided("admitted", took)
        return lease

    def _lease(self, claims: Sequence[Claim]) -> Leased:
        self._count += 1
        name = f"{self._relay}:{self._count}"
        held, always = self._names.places(claims)
        return Leased(name, held, always, self._free, self._leases.drop)

    def _by_mode(self, lease: Leased, took: float) -> Leased:
        self._decided("by_mode", took)
        if self._table.mode == "closed":
            lease.end()
            raise Refused(refuse("limits_unavailable", detail=self._standing.why or "settling"))
        lease.share = self._share
        self._leases.add_unknown(lease)
        return lease

    def _common(self) -> list[object]:
        return [self._run, self._table.relays, self._table.lease_seconds * 1_000_000]

    def _free(self, lease: Leased, places: Places) -> None:
        if self._store.is_connected:  # else the lease ends by itself
            freed = self._store.run(scripts.FREE, places, [lease.name] * len(places))
            freed.addErrback(self._failed)

    # -- the store -------------------------------------------------------------------------

    def _ask(
        self, script: Script, keys: Sequence[str], arguments: Sequence[object]
    ) -> Deferred[Any]:
        """
        Run a script.

        @return: its answer; fails with L{StoreFault}, then the store counts as down.
        """
        work = self._store.run(script, keys, arguments)
        work.addErrback(self._noticed)
        return in_time(work, ANSWER_SECONDS, self._clock, self._late)

    def _late(self) -> StoreFault:
        self._fall(LATE)
        return StoreFault(LATE)

    def _noticed(self, failure: Failure) -> Failure:
        self._failed(failure)
        return failure

    def _failed(self, failure: Failure) -> None:
        failure.trap(StoreFault)
        self._fall(str(failure.value))

    def connected(self, run: str) -> None:
        """There is a connection."""
        self._run = run
        self._revocations.all_again()
        self._beat()

    def lost(self, why: str) -> None:
        """There is none."""
        self._fall(why)

    def _fall(self, why: str) -> None:
        self._alive = 0
        if self._standing.become("down", self._clock.seconds(), why):
            self._changes.away(why)

    def _stand(self, known: int, alive: int) -> None:
        """The store answers."""
        self._alive = alive
        before, now = self._standing.since, self._clock.seconds()
        if self._standing.become("up" if known else "settling", now):
            if known:
                self._changes.up(alive, now - before)
            else:
                self._changes.settling()

    # -- signs of life ---------------------------------------------------------------------

    def start(
        self, end: Callable[[str, float], object], withhold: Callable[[bytes, float], object]
    ) -> None:
        """
        Join.

        @param end: ends what a subject has here, given how many seconds ago it was revoked.
        @param withhold: refuses a key from now on, given its digest and how many seconds ago it was
            taken out.
        """
        self._revocations.effects = {
            SUBJECT: end,
            KEY: lambda digest, seconds: withhold(bytes.fromhex(digest), seconds),
        }
        self._store.start()
        self._next.set(BEAT_SECONDS, self._beat)

    def stop(self) -> None:
        """Leave."""
        self._standing.become("left", self._clock.seconds())
        self._next.clear()
        self._stuck.clear()
        self._store.stop()

    def _beat(self) -> None:
        self._next.set(BEAT_SECONDS, self._beat)
        if self._store.is_connected and not self._beating:
            self._beating = True
            self._stuck.set(STUCK_SECONDS, self._store.cut)
            self._do(self._live()).addCallback(self._beaten)

    def _do(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        doing = Deferred.fromCoroutine(work).addErrback(self._failed)
        return doing.addErrback(lambda failure: _log.failure("the fleet's own failure", failure))

    def _beaten(self, _: object) -> None:
        self._beating = False
        self._stuck.clear()

    def heard(self) -> None:
        """Another relay has revoked a subject."""
        self._beat()

    async def _live(self) -> None:
        """
        Tell that the relay lives, and that the store has all its leases, once that is so.

        @raise StoreFault: if the store does not do it.
        """
        if not self._standing.answers:
            await self._hello("")  # however late the answer comes, the store is back then
            self._leases.forget()
            await self.ledger.tell_all(CHUNK)
            await self._revocations.restore(CHUNK)
        await self._renew()
        await self._revocations.send()
        known, alive, newest = await self._hello(self._relay)
        self._stand(known, alive)
        await self._revocations.read(newest)

    def _hello(self, name: str) -> Deferred[Any]:
        """@param name: the relay's, if the store has all its leases; else nothing."""
        member = self._table.lease_seconds * 1_000_000 // RENEWALS
        keys = [self._names.fleet, self._names.members, self._names.revoked]
        arguments = [*self._common(), member, name]
        if name:
            return self._ask(scripts.BEAT, keys, arguments)
        return self._store.run(scripts.BEAT, keys, arguments)

    async def _renew(self) -> None:
        while leases := self._leases.take(self._clock.seconds(), CHUNK):
            places = [(place, lease.name) for lease in leases for place in lease.places]
            if places:
                keys, names = zip(*places, strict=True)
                lease = self._table.lease_seconds * 1_000_000
                await self._ask(scripts.RENEW, keys, [lease, *names])

    # -- for the operator ------------------------------------------------------------------

    def revoke(self, subject: str) -> None:
        """Have all others end what this subject has, as soon as the store can tell them."""
        self._revoke(SUBJECT, subject)

    def withdraw(self, digest: bytes) -> None:
        """Have all others refuse the key of this digest, likewise."""
        self._revoke(KEY, digest.hex())

    def _revoke(self, kind: str, name: str) -> None:
        self._revocations.add(kind, name)
        if self._standing.answers:
            self._do(self._revocations.send())

    def told(self) -> dict[str, object]:
        """How it is doing, in JSON's types."""
        standing = self._standing
        told: dict[str, object] = {
            "state": standing.state,
            "seconds": round(self._clock.seconds() - standing.since, 1),
            "relays": self._alive,
            "mode": self._table.mode,
        }
        return told | ({"why": standing.why} if standing.why else {})

    def figures(self) -> tuple[bool, int]:
        """Whether the store decides, and how many relays it knows to live."""
        return self._standing.is_up, self._alive
