"""Budgets held: before a session, and while it runs, by what the service reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.admission.callers import OverLimit
from relay.admission.ledger import Ledger
from relay.rules.budgets import Budget, BudgetName, seconds_until_more
from relay.rules.refusals import refuse
from relay.rules.usage import NOTHING, Usage
from relay.timing.callbacks import answer_of
from relay.timing.clock import epoch
from relay.timing.turns import Turns

_log = Logger()

End = Callable[[BudgetName], None]
"""Ends a session, because this budget is used up."""


class Budgets:
    """
    The budgets of all callers of one relay. A caller's sessions share its day: the report by which
    that is used up ends them all.

    @ivar ledger: is asked, and told. Where it is replaced, nothing has been spent before.
    @param turns: spreads their ends over the turns of the reactor. A report is also followed by the
        end of its own session in a later turn, so that its event has crossed before.
    """

    def __init__(self, ledger: Ledger, turns: Turns) -> None:
        self.ledger = ledger
        self._turns = turns
        self._open: dict[str, set[Account]] = {}

    async def admit(self, caller: str, budget: Budget) -> None:
        """@raise OverLimit: if the caller's day is used up."""
        if not budget.is_by_day:
            return
        name = budget.used_up(NOTHING, await answer_of(self.ledger.spent(caller)))
        if name is not None:
            wait = ceil(seconds_until_more(name, epoch()))
            raise OverLimit(refuse("budget_exhausted", retry_after=wait), name)

    def open(self, caller: str, budget: Budget, end: End) -> Account:
        """
        A session opens. Its caller's day may have been used up while it was dialled.

        @param end: is called once at most, in a later turn.
        """
        account = Account(self, caller, budget, end)
        self._open.setdefault(caller, set()).add(account)
        if budget.is_by_day:
            self._learn(account, self.ledger.spent(caller))
        return account

    def spend(self, account: Account, more: Usage) -> None:
        """The service has reported this for one of the sessions."""
        self._learn(account, self.ledger.spend(account.caller, more))
        account.look(NOTHING)  # for what is of the session alone, the ledger need not answer first

    def forget(self, account: Account) -> None:
        """The session is over."""
        accounts = self._open[account.caller]
        accounts.discard(account)
        if not accounts:
            del self._open[account.caller]

    def later(self, end: Callable[[], None]) -> None:
        """End a session in a later turn."""
        self._turns.later(end)

    def _learn(self, account: Account, answer: Usage | Awaitable[Usage]) -> None:
        if isinstance(answer, Usage):  # a service may report each second
            self._look(answer, account)
            return
        told: Deferred[Usage] = Deferred.fromCoroutine(answer_of(answer))
        told.addCallback(self._look, account)
        told.addErrback(lambda failure: _log.failure("the ledger failed", failure))

    def _look(self, day: Usage, account: Account) -> None:
        account.look(day)
        # The others only once it matters: a caller may have a thousand sessions.
        if account.budget.used_up(NOTHING, day):
            for other in tuple(self._open.get(account.caller, ())):
                other.look(day)


class Account:
    """
    What one session may spend.

    @ivar caller: whose day it spends of.
    """

    __slots__ = ("_all", "_end", "_spent", "_used_up", "budget", "caller")

    def __init__(self, budgets: Budgets, caller: str, budget: Budget, end: End) -> None:
        self._all = budgets
        self.caller = caller
        self.budget = budget
        self._end = end
        self._spent = NOTHING
        self._used_up: BudgetName | None = None

    def report(self, spent: Usage) -> None:
        """
        The service has reported.

        @param spent: all of the session so far.
        """
        more = spent.since(self._spent)
        self._spent += more
        if more != NOTHING:
            self._all.spend(self, more)

    def look(self, day: Usage) -> None:
        """
        End the session if one of its budgets is used up.

        @param day: what its caller has spent today.
        """
        if self._used_up is None:
            self._used_up = self.budget.used_up(self._spent, day)
            if self._used_up is not None:
                self._all.later(self._finish)

    def close(self) -> None:
        """The session is over; it must not be referred to."""
        self._end = _drop
        self._all.forget(self)

    def _finish(self) -> None:
        if self._used_up is not None:
            self._end(self._used_up)


def _drop(name: BudgetName) -> None:
    """Stands in for a session that is over."""
