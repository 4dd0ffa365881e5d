"""A Realtime client for Twisted services."""

from relay.client.meaning import Refused, Times, Told
from relay.client.service import RealtimeClient

__all__ = ["RealtimeClient", "Refused", "Times", "Told"]
