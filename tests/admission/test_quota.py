"""A part of a quota, where relays cannot count together."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import floats, integers

from relay.admission.callers import Caller, OverLimit
from relay.admission.quota import Quota

LIMITS = integers(0, 50)
RELAYS = integers(1, 8)


def let_in(quota: Quota, whole: Quota | None = None) -> int:
    """How many of 60 holds at once are; counted by the whole first, if there is one."""
    caller, count = Caller(), 0
    for _ in range(60):
        try:
            caller.admit(whole or quota, 0)
            try:
                if whole is not None:
                    caller.admit_again(quota, 0)
            except OverLimit:
                caller.holds -= 1
                raise
        except OverLimit:
            break
        count += 1
    return count


@given(sessions=LIMITS, holds=LIMITS, handshakes=LIMITS, relays=RELAYS)
def test_all_parts_together_are_no_more_than_the_whole_or_one_each(
    sessions: int, holds: int, handshakes: int, relays: int
) -> None:
    whole = Quota("address", sessions, holds, handshakes)
    part = whole.divided(relays)
    limits = [limit for limit in (sessions, holds, handshakes) if limit]
    most = max(1, min(limits) // relays) if limits else 60
    assert let_in(part) == most
    assert let_in(part, whole) == most, "also those that were counted by the whole at first"


@given(handshakes=integers(1, 600), relays=RELAYS, seconds=floats(0, 600))
def test_handshakes_of_a_part_come_back_so_many_times_slower(
    handshakes: int, relays: int, seconds: float
) -> None:
    caller = Caller()
    part = Quota("address", 0, 0, handshakes).divided(relays)
    begun = 0
    for now in (0.0, seconds):
        try:
            while True:
                caller.admit(part, now)
                begun += 1
        except OverLimit:
            pass
    share = max(1, handshakes / relays)
    assert begun <= share + share * seconds / 60 + 1e-3


def test_a_part_of_no_limit_is_none() -> None:
    assert Quota("subject", 0, 0, 0).divided(3) == Quota("subject", 0, 0, 0)
    assert not Quota("subject", 0, 0, 0).is_limit
    assert Quota("subject", 0, 0, 1).is_limit
