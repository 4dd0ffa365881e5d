"""What each caller has spent today, on all relays of a fleet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from relay.admission.ledger import CAPACITY, short
from relay.fleet.names import Names
from relay.fleet.scripts import SPEND, Script
from relay.fleet.store import StoreFault
from relay.rules.budgets import day_of
from relay.rules.usage import NOTHING, Usage

FRESH_SECONDS = 1.0
"""For so long what the store has told of a caller is taken for what it would tell now."""

MICRO = 1_000_000

Ask = Callable[[Script, Sequence[str], Sequence[object]], Deferred[Any]]


@frozen
class Spent:
    """
    What is known of one caller's day.

    @ivar here: what it has spent here.
    @ivar elsewhere: what it has spent on other relays, as far as the store has told.
    @ivar told: when the store told, by the relay's clock; L{None} if it has not.
    """

    here: Usage = NOTHING
    elsewhere: Usage = NOTHING
    told: float | None = None

    @property
    def total(self) -> Usage:
        """On all relays."""
        return self.here + self.elsewhere


class SharedLedger:
    """
    A L{relay.admission.ledger.Ledger}. Each relay writes what was spent there today as one sum, so
    that it does not matter how often it is told, and the store can be told again what it has lost.
    While the store is away, it answers by what it knows.

    @param ask: runs a script; what it returns fails with L{StoreFault}.
    @param answers: whether the store is to be asked.
    @param relay: the relay's name.
    @param seconds: the time, by the relay's clock.
    @param epoch: seconds since 1970.
    @param capacity: callers that are remembered.
    """

    def __init__(
        self,
        ask: Ask,
        answers: Callable[[], bool],
        names: Names,
        relay: str,
        seconds: Callable[[], float],
        epoch: Callable[[], float],
        capacity: int = CAPACITY,
    ) -> None:
        self._ask = ask
        self._answers = answers
        self._names = names
        self._relay = relay
        self._seconds = seconds
        self._epoch = epoch
        self._capacity = capacity
        self._day = day_of(epoch())
        self._spent: OrderedDict[str, Spent] = OrderedDict()

    def spent(self, caller: str) -> Usage | Deferred[Usage]:
        """What this caller has spent today."""
        known = self._known(caller)
        is_fresh = known.told is not None and self._seconds() - known.told < FRESH_SECONDS
        return known.total if is_fresh else self._asked(caller)

    def spend(self, caller: str, more: Usage) -> Usage | Deferred[Usage]:
        """Add this; the answer is what the caller has now spent today."""
        known = self._known(caller)
        self._keep(caller, evolve(known, here=known.here + more))
        return self._asked(caller)

    def key(self, caller: str) -> str:
        """Where the store keeps this caller's day."""
        self._today()
        return self._names.spent(self._day, short(caller))

    def learn(self, caller: str, tokens: int, micros: int) -> None:
        """The store has told what this caller has spent today on other relays."""
        elsewhere = Usage(tokens, micros / MICRO)
        known = evolve(self._known(caller), elsewhere=elsewhere, told=self._seconds())
        self._keep(caller, known)

    async def tell_all(self, most: int) -> None:
        """
        Tell the store of all that was spent here.

        @param most: callers in one script.
        @raise StoreFault: if it cannot be told.
        """
        callers = [caller for caller, known in self._today().items() if known.here != NOTHING]
        for first in range(0, len(callers), most):
            await self._tell(callers[first : first + most])

    def _asked(self, caller: str) -> Usage | Deferred[Usage]:
        if not self._answers():
            return self._known(caller).total
        return Deferred.fromCoroutine(self._answer(caller))

    async def _answer(self, caller: str) -> Usage:
        with suppress(StoreFault):  # the fleet has noticed; what is known has to do
            await self._tell([caller])
        return self._known(caller).total

    async def _tell(self, callers: Sequence[str]) -> None:
        here = [self._known(caller).here for caller in callers]
        keys = [self.key(caller) for caller in callers]
        sums = [n for each in here for n in (each.tokens, round(each.seconds * MICRO))]
        told = await self._ask(SPEND, keys, [self._relay, *sums])
        for number, caller in enumerate(callers):
            self.learn(caller, *told[2 * number : 2 * number + 2])

    def _known(self, caller: str) -> Spent:
        return self._today().get(short(caller), Spent())

    def _keep(self, caller: str, known: Spent) -> None:
        today, name = self._today(), short(caller)
        today[name] = known
        today.move_to_end(name)
        if len(today) > self._capacity:
            today.popitem(last=False)

    def _today(self) -> OrderedDict[str, Spent]:
        if (day := day_of(self._epoch())) != self._day:
            self._day = day
            self._spent.clear()
        return self._spent
