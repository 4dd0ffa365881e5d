"""A relay for Realtime APIs that connects upstream before it answers."""

from relay.admission.grant import Grant
from relay.admission.quota import GrantLimits
from relay.admission.request import Admit, Request, Verdict
from relay.config.forms import RefusalRule
from relay.config.settings import Limits, Settings
from relay.factory import RelayFactory
from relay.http.head import Head
from relay.lifecycle.handles import Handles, SessionHandle
from relay.policy.policy import Policy
from relay.rules.closes import Side
from relay.rules.errors import InvalidValue, RelayError
from relay.rules.losses import Loss
from relay.rules.refusals import Refusal, RefusalCode, Stage, UpstreamFacts, refuse
from relay.rules.session_kinds import SessionKind
from relay.telemetry.crossings import Crossing, Crossings
from relay.telemetry.lines import LogRecords
from relay.telemetry.metrics import Metrics, Scraped
from relay.telemetry.records import (
    AnsweredRecord,
    AttemptRecord,
    ClosedRecord,
    HoldRecord,
    OpenRecord,
    RelayListener,
    Traffic,
)
from relay.timing.clock import use_monotonic_clock
from relay.upstreams.balancing import Standing
from relay.upstreams.breaker import BreakerState
from relay.upstreams.endpoints import Endpoint, EndpointPath, Route
from relay.upstreams.proxies import Proxy
from relay.upstreams.upstream import Credential, Upstream
from relay.web.admin import AdminFactory
from relay.web.console import Console

__all__ = [
    "AdminFactory",
    "Admit",
    "AnsweredRecord",
    "AttemptRecord",
    "BreakerState",
    "ClosedRecord",
    "Console",
    "Credential",
    "Crossing",
    "Crossings",
    "Endpoint",
    "EndpointPath",
    "Grant",
    "GrantLimits",
    "Handles",
    "Head",
    "HoldRecord",
    "InvalidValue",
    "Limits",
    "LogRecords",
    "Loss",
    "Metrics",
    "OpenRecord",
    "Policy",
    "Proxy",
    "Refusal",
    "RefusalCode",
    "RefusalRule",
    "RelayError",
    "RelayFactory",
    "RelayListener",
    "Request",
    "Route",
    "Scraped",
    "SessionHandle",
    "SessionKind",
    "Settings",
    "Side",
    "Stage",
    "Standing",
    "Traffic",
    "Upstream",
    "UpstreamFacts",
    "Verdict",
    "refuse",
    "use_monotonic_clock",
]
