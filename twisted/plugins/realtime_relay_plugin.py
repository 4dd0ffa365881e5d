"""
Makes C{twistd realtime-relay} exist.

C{twistd} imports every plugin module to list them, also for C{twistd --help}: so this one names
the relay and imports nothing of it.
"""

from twisted.application.service import ServiceMaker

realtimeRelay = ServiceMaker(
    "realtime-relay",
    "relay.daemon.tap",
    "A relay for the Realtime API that opens its upstream before it answers its downstream.",
    "realtime-relay",
)
