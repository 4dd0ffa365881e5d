"""What each caller has spent today."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Protocol

from relay.rules.budgets import day_of
from relay.rules.usage import NOTHING, Usage

CAPACITY = 50_000
"""Callers that are remembered. Each takes less than 1 KiB."""

LONGEST = 64
"""Characters of a caller's name that are kept; of a longer one, its hash."""


class Ledger(Protocol):
    """
    Adds up by caller and day (UTC).

    It answers at once, or by an awaitable within a second: a hold waits for it. It does not fail.
    One that cannot reach its store answers by what it knows.

    @note: all of the caller's sessions that are open here learn what L{spend} answers, so a total
        of more relays than this one is held by this one too.
    """

    def spent(self, caller: str) -> Usage | Awaitable[Usage]:
        """What this caller has spent today."""

    def spend(self, caller: str, more: Usage) -> Usage | Awaitable[Usage]:
        """Add this; return what the caller has now spent today."""


class LocalLedger:
    """
    A L{Ledger} in the memory of this process.

    @param now: seconds since 1970.
    @param capacity: callers that are remembered. Of more, the one that has spent nothing for
        longest is forgotten. One that only asks is not remembered.
    """

    def __init__(self, now: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._now = now
        self._capacity = capacity
        self._day = day_of(now())
        self._spent: OrderedDict[str, Usage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._spent)

    def spent(self, caller: str) -> Usage:
        """What this caller has spent today."""
        return self._today().get(short(caller), NOTHING)

    def spend(self, caller: str, more: Usage) -> Usage:
        """Add this; return what the caller has now spent today."""
        today, name = self._today(), short(caller)
        total = today.pop(name, NOTHING) + more
        today[name] = total
        if len(today) > self._capacity:
            today.popitem(last=False)
        return total

    def _today(self) -> OrderedDict[str, Usage]:
        # Also if the clock was set back: else one that was once years ahead would end no day.
        if (day := day_of(self._now())) != self._day:
            self._day = day
            self._spent.clear()
        return self._spent


def short(caller: str) -> str:
    """What a caller is called where many are kept: of a longer name than L{LONGEST}, its hash."""
    if len(caller) <= LONGEST:
        return caller
    return sha256(caller.encode("utf-8", "replace")).hexdigest()
