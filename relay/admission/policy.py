"""Which policy a session has: what the settings and its grant say, together."""

from __future__ import annotations

from relay.admission.grant import Grant
from relay.admission.request import Request
from relay.config.settings import Settings
from relay.policy.policy import Policy
from relay.rules.refusals import Refusal


def policy_of(grant: Grant, settings: Settings) -> Policy:
    """The policy of this grant's sessions."""
    return grant.bounds.within(settings.policy.policy)


def refusal_by_policy(request: Request, grant: Grant, settings: Settings) -> Refusal | None:
    """
    Why the policy refuses the request itself; L{None} if it does not. Where no path or query names
    a model, the client names it in an event.
    """
    route = request.route
    if route is None or "model" not in route.endpoint.query:
        return None
    return policy_of(grant, settings).refusal_of(request.model)
