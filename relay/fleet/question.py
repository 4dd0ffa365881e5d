"""What the store is asked about a hold, and what its answer means."""

from __future__ import annotations

from collections.abc import Sequence

from relay.admission.callers import OverLimit, over_count, over_rate
from relay.admission.shared import Claim
from relay.fleet.names import Names

WHERE = " in the fleet"
"""What the record of a refused hold says besides the limit."""

COUNTS = {1: "sessions", 2: "holds"}
"""What there is too much of, by the script's number for it."""


def question(
    names: Names, common: Sequence[object], lease: str, claims: Sequence[Claim], day: str
) -> tuple[list[str], list[object]]:
    """
    The keys and arguments of L{relay.fleet.scripts.DECIDE}.

    @param common: the first arguments, which are about the fleet.
    @param lease: its name.
    @param day: the key of what the caller has spent today.
    """
    keys = [names.fleet, names.members, day]
    arguments = [*common, lease]
    for claim in claims:
        quota = claim.quota
        keys += [names.sessions(claim), names.holds(claim), names.handshakes(claim)]
        arguments += map(str, (quota.sessions, quota.holds, quota.handshakes))
    return keys, arguments


def over_limit(claim: Claim, what: int, wait: float) -> OverLimit:
    """
    The refusal for an answer that says no.

    @param claim: the one that has too much.
    @param what: of what, by the script's number for it.
    @param wait: seconds until it has not.
    """
    name = claim.quota.name
    if what in COUNTS:
        return over_count(name, COUNTS[what], WHERE)
    return over_rate(name, wait, WHERE)
