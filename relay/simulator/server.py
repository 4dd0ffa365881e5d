"""
The simulator as an upstream that listens.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from time import time

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.interfaces import IAddress, IReactorTime

from relay.simulator.calls import Calls
from relay.simulator.connection import OPTIONS
from relay.simulator.live import LiveSessions
from relay.simulator.protocol import SimulatorProtocol


def random_id(kind: str) -> str:
    """An id that looks like OpenAI's, such as C{"item_3f…"}."""
    return f"{kind}_{secrets.token_hex(12)}"


class SimulatorFactory(WebSocketServerFactory):
    """
    Listens as an upstream, on any endpoint, at the paths of L{endpoints}.

    @ivar countConnections: connections that are open now.
    @ivar live: the sessions of the Live API, which several connections may share.
    @ivar calls: the calls that were set up by plain requests.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        delta_seconds: float = 0.02,
        slow_seconds: float = 2.0,
        new_id: Callable[[str], str] = random_id,
        now: Callable[[], float] = time,
    ) -> None:
        """
        @param reactor: the clock of all delays.
        @param delta_seconds: the pause before each piece of an answer.
        @param slow_seconds: how late C{fault-slow} is.
        @param new_id: makes an unused id that begins with the given word.
        @param now: tells the date, in seconds since 1970.
        """
        super().__init__(reactor=reactor, server="")
        self.delta_seconds = delta_seconds
        self.slow_seconds = slow_seconds
        self.new_id = new_id
        self.now = now
        self.live = LiveSessions()
        self.calls = Calls()
        self.setProtocolOptions(**OPTIONS)

    def buildProtocol(self, addr: IAddress | None) -> SimulatorProtocol:
        """A new connection."""
        protocol = SimulatorProtocol(self)
        protocol.factory = self
        return protocol
