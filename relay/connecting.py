"""
Connect to one of several addresses: in turn, the next at once when one fails, else after 0.25 s.

L{HostnameEndpoint} does nearly this, but reports a refused port only at its 0.3 s tick.

Source: RFC 8305, 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.python.failure import Failure

from relay.deadline import Deadline

HEAD_START = 0.25
"""Seconds that an address has before the next one is tried beside it."""

Connect = Callable[[str], Deferred[IProtocol]]
"""Begins to connect to one address; cancelling its Deferred gives up."""


class Race:
    """
    One race between addresses. The first connection wins and ends the others.

    @ivar result: fires with the winner's protocol, or fails as the last address did. Cancelling
        it ends every connection attempt.
    """

    def __init__(self, clock: IReactorTime, addresses: Sequence[str], connect: Connect) -> None:
        self.result: Deferred[IProtocol] = Deferred(lambda _: self._stop())
        self._connect = connect
        self._left = list(addresses)
        self._running: list[Deferred[IProtocol]] = []
        self._next = Deadline(clock)

    def start(self) -> Deferred[IProtocol]:
        """Begin with the first address; return L{result}."""
        if self._left:
            self._start_one()
        else:
            self.result.errback(ConnectError("no address"))
        return self.result

    def _start_one(self) -> None:
        attempt = self._connect(self._left.pop(0))
        self._running.append(attempt)
        if self._left:
            self._next.set(HEAD_START, self._start_one)
        attempt.addCallbacks(self._won, self._failed, errbackArgs=(attempt,))

    def _won(self, protocol: IProtocol) -> None:
        self._stop()
        self.result.callback(protocol)

    def _failed(self, failure: Failure, attempt: Deferred[IProtocol]) -> None:
        if attempt not in self._running:
            return  # cancelled by the winner or by who waited
        self._running.remove(attempt)
        if self._left:
            self._next.clear()
            self._start_one()
        elif not self._running:
            self.result.errback(failure)

    def _stop(self) -> None:
        self._next.clear()
        running, self._running, self._left = self._running, [], []
        for attempt in running:
            attempt.cancel()
