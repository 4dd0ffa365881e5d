"""What callers may spend: tokens and seconds, in one session and on one day (UTC)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from attrs import frozen

from relay.rules.usage import Usage

BudgetName = Literal["day_tokens", "day_usage_seconds", "session_tokens", "session_usage_seconds"]
"""The budgets, by their keys in the settings."""

BUDGETS: tuple[BudgetName, ...] = get_args(BudgetName)
"""In the order in which they count: with the day's, another session would have nothing either."""

WORDS: Mapping[BudgetName, str] = {
    "day_tokens": "tokens for this day (UTC)",
    "day_usage_seconds": "seconds for this day (UTC)",
    "session_tokens": "tokens for this session",
    "session_usage_seconds": "seconds for this session",
}

DAY_SECONDS = 86_400
"""Of every day: the seconds since 1970 leave leap seconds out (POSIX)."""


def day_of(now: float) -> int:
    """
    The day, in UTC, as its number since 1970.

    @param now: seconds since 1970.
    """
    return int(now // DAY_SECONDS)


def seconds_until_more(name: BudgetName, now: float) -> float:
    """
    The seconds until there is more of a budget that is used up: 0 if another session has its own.

    @param now: seconds since 1970.
    """
    return DAY_SECONDS - now % DAY_SECONDS if name.startswith("day") else 0.0


@frozen
class Budget:
    """What one session may spend, and its caller on one day; 0 stands for any number."""

    day_tokens: float
    day_usage_seconds: float
    session_tokens: float
    session_usage_seconds: float

    @property
    def is_by_day(self) -> bool:
        """Whether what was spent on the day matters."""
        return self.day_tokens > 0 or self.day_usage_seconds > 0

    def used_up(self, session: Usage, day: Usage) -> BudgetName | None:
        """
        The first budget that is used up; L{None} if none is.

        @param session: what the session has spent.
        @param day: what its caller has spent today.
        """
        spent = (day.tokens, day.seconds, session.tokens, session.seconds)
        each = zip(BUDGETS, spent, strict=True)
        return next((name for name, so_far in each if 0 < getattr(self, name) <= so_far), None)
