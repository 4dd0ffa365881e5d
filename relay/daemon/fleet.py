"""The fleet that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.config.plan import Plan
from relay.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from relay.fleet.fleet import SharedFleet


def fleet_in(plan: Plan, reactor: Any, metrics: Metrics) -> SharedFleet | None:
    """The fleet of a plan, counted by these metrics; L{None} if the relay is alone."""
    if plan.fleet is None:
        return None
    # Imported only here, because txredisapi is an extra.
    from relay.fleet.redis import fleet_of

    fleet = fleet_of(plan.fleet, reactor, metrics.decided)
    metrics.share(fleet.figures)
    return fleet
