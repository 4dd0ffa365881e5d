"""A relay for Realtime APIs that connects upstream before it answers."""

from relay.admission.request import Admit, Grant, Request
from relay.config.settings import Limits, Settings
from relay.factory import RelayFactory
from relay.rules.errors import InvalidValue, RelayError
from relay.rules.refusals import Refusal, RefusalCode, UpstreamFacts, refuse
from relay.telemetry.metrics import Metrics
from relay.telemetry.records import (
    AttemptRecord,
    ClosedRecord,
    HoldRecord,
    LogRecords,
    RelayListener,
    Traffic,
)
from relay.timing.clock import use_monotonic_clock
from relay.upstreams.providers import Upstream
from relay.upstreams.proxies import Proxy
from relay.web.admin import AdminFactory

__all__ = [
    "AdminFactory",
    "Admit",
    "AttemptRecord",
    "ClosedRecord",
    "Grant",
    "HoldRecord",
    "InvalidValue",
    "Limits",
    "LogRecords",
    "Metrics",
    "Proxy",
    "Refusal",
    "RefusalCode",
    "RelayError",
    "RelayFactory",
    "RelayListener",
    "Request",
    "Settings",
    "Traffic",
    "Upstream",
    "UpstreamFacts",
    "refuse",
    "use_monotonic_clock",
]
