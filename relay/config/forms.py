"""
Which form of a refusal a client gets: what the operator can say of it, and what that comes to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, get_args

from attrs import frozen

from relay.config import checks
from relay.config.fields import documented

Form = Literal["auto", "http", "event"]
"""How a refusal is told: by status, in band after a 101, or by what the client can read."""

FORMS: tuple[Form, ...] = get_args(Form)


@frozen(kw_only=True)
class RefusalRule:
    """One rule: the form, and who gets it. A rule that says nothing of a matter is for all."""

    form: Literal["auto", "http", "event"] = documented(
        'How a refusal is told: "http" by status, "event" in band after a 101, "auto" in band'
        " to clients that hide the status from their app, as browsers do, and by status to all"
        " others.",
        "auto",
        checks.one_of(*FORMS),
    )
    user_agent: str | None = documented(
        'Clients whose User-Agent is this, in which * stands for any text; "" is none at all.'
        " Small and capital letters differ.",
        None,
        checks.optional(checks.printable_or_empty),
    )
    listener: str | None = documented(
        "Clients of the listener that listen or [[listener]] gives this endpoint string.",
        None,
        checks.optional(checks.printable),
    )

    def matches(self, listener: str | None, user_agent: str) -> bool:
        """Whether the rule is for a client of this listener, with this C{User-Agent}."""
        return self.listener in (None, listener) and (
            self.user_agent is None or _pattern(self.user_agent).fullmatch(user_agent) is not None
        )

    @property
    def is_for_all(self) -> bool:
        """Whether no rule behind this one is ever asked."""
        return self.listener is None and self.user_agent is None


@lru_cache(256)
def _pattern(user_agent: str) -> re.Pattern[str]:
    """What matches it. Brackets and question marks stand in some names of clients, so are plain."""
    return re.compile(".*?".join(map(re.escape, user_agent.split("*"))), re.DOTALL)


def form_for(rules: Iterable[RefusalRule], listener: str | None, user_agent: str) -> Form:
    """
    The form that the first rule for this client says; without one C{auto}.

    @param user_agent: empty if the client sent none.
    """
    return next((rule.form for rule in rules if rule.matches(listener, user_agent)), "auto")


def as_rules(value: Form | tuple[RefusalRule, ...]) -> tuple[RefusalRule, ...]:
    """A form alone is one rule for all. Any wrong value stays as it is, for L{rules} to tell."""
    if isinstance(value, str) and value in FORMS:
        return (RefusalRule(form=value),)
    return value  # type: ignore[return-value]


@checks.named
def rules(value: Any) -> str | None:
    """Tuples of rules, each of which can be reached."""
    if not isinstance(value, tuple) or not all(isinstance(rule, RefusalRule) for rule in value):
        listed = ", ".join(f'"{form}"' for form in FORMS)
        found = checks.shown(value) if isinstance(value, str) else checks.kind_of(value)
        return f"must be one of {listed}, or tables written [[refusals]], not {found}"
    ends = [number for number, rule in enumerate(value, 1) if rule.is_for_all]
    if ends and ends[0] < len(value):
        return f"#{ends[0]} is for all, so nobody gets to #{ends[0] + 1}"
    return None
