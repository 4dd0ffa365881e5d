"""A relay for Realtime APIs that connects upstream before it answers."""

from relay.admission.request import Admit, Grant, Request
from relay.factory import RelayFactory
from relay.providers import Upstream
from relay.records import ClosedRecord, HoldRecord, RelayListener
from relay.refusals import Refusal, refuse
from relay.settings import Limits, Settings

__all__ = [
    "Admit",
    "ClosedRecord",
    "Grant",
    "HoldRecord",
    "Limits",
    "Refusal",
    "RelayFactory",
    "RelayListener",
    "Request",
    "Settings",
    "Upstream",
    "refuse",
]
