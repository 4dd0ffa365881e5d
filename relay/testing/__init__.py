"""
Doubles to test an app around the relay with: no sockets, and no time but the test's.

The far ends speak by the C{websockets} package: install C{realtime-relay[testing]}.
"""

from relay.testing.listener import RecordingListener
from relay.testing.peers import Line, Peer, connect
from relay.testing.reactor import Endless, Reactor
from relay.testing.upstream import (
    CREATED,
    Dialed,
    FakeUpstream,
    Script,
    answers,
    drops,
    opens,
    opens_silently,
    refuses_connections,
    rejects,
    says_nothing,
)

__all__ = [
    "CREATED",
    "Dialed",
    "Endless",
    "FakeUpstream",
    "Line",
    "Peer",
    "Reactor",
    "RecordingListener",
    "Script",
    "answers",
    "connect",
    "drops",
    "opens",
    "opens_silently",
    "refuses_connections",
    "rejects",
    "says_nothing",
]
