"""How much one caller may have, and how much one session may send."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from relay.config.settings import Limits
from relay.rules.budgets import Budget
from relay.rules.errors import InvalidValue


def _amount(_: object, attribute: Any, value: object) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and value >= 0):  # type: ignore[operator]
        raise InvalidValue(f"{attribute.name} of GrantLimits must be a number, 0 or more, or None")


@frozen(kw_only=True)
class GrantLimits:
    """
    The limits of one grant, where they are not those of the settings. L{None}, the default, is what
    the settings say for every subject and session; 0 is no limit.

    The first three count all holds and sessions of the grant's subject, and mean nothing without a
    subject. Whatever is admitted at once, no more than C{sessions} ever open: a hold counts as the
    session that it may become.

    @ivar sessions: sessions and holds at once.
    @ivar holds: holds at once.
    @ivar handshakes: holds that may begin in a minute.
    @ivar messages_per_second: WebSocket frames a second that the client may send in the long run.
    @ivar bytes_per_second: bytes a second likewise.
    @ivar session_seconds: how long a session may last.
    @ivar idle_seconds: how long nothing may cross in a session.
    @ivar day_tokens: tokens of the subject on one day (UTC), as services report them. Without a
        subject, this and the next are of its address.
    @ivar day_usage_seconds: seconds likewise, where a service bills by seconds.
    @ivar session_tokens: tokens of one session.
    @ivar session_usage_seconds: billed seconds of one session.
    @raise InvalidValue: for anything but numbers from 0 up.
    """

    sessions: int | None = field(default=None, validator=_amount)
    holds: int | None = field(default=None, validator=_amount)
    handshakes: float | None = field(default=None, validator=_amount)
    messages_per_second: float | None = field(default=None, validator=_amount)
    bytes_per_second: float | None = field(default=None, validator=_amount)
    session_seconds: float | None = field(default=None, validator=_amount)
    idle_seconds: float | None = field(default=None, validator=_amount)
    day_tokens: float | None = field(default=None, validator=_amount)
    day_usage_seconds: float | None = field(default=None, validator=_amount)
    session_tokens: float | None = field(default=None, validator=_amount)
    session_usage_seconds: float | None = field(default=None, validator=_amount)


@frozen
class Quota:
    """
    What one caller may have; 0 stands for any number.

    @ivar name: how the settings call such limits.
    @ivar cost: how many of its handshakes one hold takes.
    """

    name: str
    sessions: float
    holds: float
    handshakes: float
    cost: float = 1

    @property
    def is_limit(self) -> bool:
        """Whether it limits anything."""
        return bool(self.sessions or self.holds or self.handshakes)

    def divided(self, relays: int) -> Quota:
        """
        One relay's part, where so many cannot count together. Each may have at least 1, so it is
        more in all if the limit is less than C{relays}.
        """
        return evolve(
            self,
            sessions=_part(self.sessions, relays),
            holds=_part(self.holds, relays),
            cost=min(relays, self.handshakes) or 1,
        )


def _part(limit: float, relays: int) -> float:
    return max(1, limit // relays) if limit else 0


def _or(own: float | None, common: float) -> float:
    return common if own is None else own


def quota_of_address(limits: Limits) -> Quota:
    """What every address may have."""
    return Quota(
        "address", limits.address_sessions, limits.address_holds, limits.address_handshakes
    )


def quota_of_subject(own: GrantLimits, limits: Limits) -> Quota:
    """What the subject of a grant may have."""
    return Quota(
        "subject",
        _or(own.sessions, limits.subject_sessions),
        _or(own.holds, limits.subject_holds),
        _or(own.handshakes, limits.subject_handshakes),
    )


@frozen
class Pace:
    """How much, how fast and how long one session may go on; 0 stands for no limit."""

    messages_per_second: float
    bytes_per_second: float
    session_seconds: float
    idle_seconds: float


def pace_of(own: GrantLimits, limits: Limits) -> Pace:
    """The pace of a grant's session."""
    return Pace(
        _or(own.messages_per_second, limits.messages_per_second),
        _or(own.bytes_per_second, limits.bytes_per_second),
        _or(own.session_seconds, limits.session_seconds),
        _or(own.idle_seconds, limits.idle_seconds),
    )


def budget_of(own: GrantLimits, limits: Limits) -> Budget:
    """What a grant's session may spend, and its caller on one day."""
    return Budget(
        _or(own.day_tokens, limits.day_tokens),
        _or(own.day_usage_seconds, limits.day_usage_seconds),
        _or(own.session_tokens, limits.session_tokens),
        _or(own.session_usage_seconds, limits.session_usage_seconds),
    )
