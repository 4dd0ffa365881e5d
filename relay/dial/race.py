"""
Connect to one of several addresses, in turn: the next is tried when one fails, else after 0.25 s.

L{HostnameEndpoint} does nearly this, but it reports a refused port only at its 0.3 s tick. And all
of Twisted's endpoints wrap the protocol in another one.

Source: RFC 8305, 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IConnector, IReactorTime
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from relay.timing.deadline import Deadline

HEAD_START = 0.25
"""Seconds that an address has before the next one is tried beside it."""

P = TypeVar("P")
"""The protocol."""

Connect = Callable[[str], Deferred[P]]
"""Begins to connect to one address. Cancelling its Deferred stops that."""


class OneConnection(ClientFactory, Generic[P]):
    """
    A factory for one connection.

    @ivar connected: fires with the protocol when there is a connection, or fails. Cancelling it
        stops connecting.
    """

    noisy = False

    def __init__(self) -> None:
        self.connected: Deferred[P] = Deferred(self._stop)
        self._connector: IConnector | None = None

    def startedConnecting(self, connector: IConnector) -> None:
        """Remember what to stop."""
        self._connector = connector

    def _stop(self, connected: Deferred[P]) -> None:
        connected.errback(CancelledError())
        if self._connector is not None:
            self._connector.stopConnecting()

    def built(self, protocol: P) -> None:
        """There is a connection, and this is its protocol."""
        self._connector = None
        self.connected.callback(protocol)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """Break Twisted's reference cycle: the transport has the connector too."""
        connector.transport = None  # type: ignore[attr-defined]  # no part of the interface

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """There is no connection, maybe because it was stopped."""
        self._connector = None
        if not self.connected.called:
            self.connected.errback(reason)


class Race(Generic[P]):
    """
    One race between addresses. The first connection wins and ends the others.

    @ivar result: fires with the winner's protocol, or fails as the last address did. Cancelling
        it ends every connection attempt.
    """

    def __init__(self, clock: IReactorTime, addresses: Sequence[str], connect: Connect[P]) -> None:
        self.result: Deferred[P] = Deferred(lambda _: self._stop())
        self._connect = connect
        self._untried = list(addresses)
        self._running: list[Deferred[P]] = []
        self._next = Deadline(clock)

    def start(self) -> Deferred[P]:
        """Begin with the first address; return L{result}."""
        if self._untried:
            self._start_one()
        else:
            self.result.errback(ConnectError("no address"))
        return self.result

    def _start_one(self) -> None:
        attempt = self._connect(self._untried.pop(0))
        self._running.append(attempt)
        if self._untried:
            self._next.set(HEAD_START, self._start_one)
        attempt.addCallbacks(self._won, self._failed, errbackArgs=(attempt,))

    def _won(self, protocol: P) -> None:
        self._stop()
        self.result.callback(protocol)

    def _failed(self, failure: Failure, attempt: Deferred[P]) -> None:
        if attempt not in self._running:
            return  # it was cancelled by L{_stop}
        self._running.remove(attempt)
        if self._untried:
            self._next.clear()
            self._start_one()
        elif not self._running:
            self.result.errback(failure)

    def _stop(self) -> None:
        self._next.clear()
        running, self._running, self._untried = self._running, [], []
        for attempt in running:
            attempt.cancel()
