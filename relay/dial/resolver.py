"""
Look names up without the reactor's thread pool.

Stuck look-ups would fill that pool: behind twelve of them a good name takes 6 s, and shutdown waits
for them all. Here each name has a thread of its own while it is looked up, and shutdown does not
wait for it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from attrs import frozen
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.python.failure import Failure

from relay.rules.shortage import NoThread

KEEP_SECONDS = 30.0
"""Seconds for which an answer is used again. Failures are never kept."""

Addresses = tuple[str, ...]
LookUp = Callable[[str], Addresses]
Begin = Callable[[Callable[[], None]], None]


def look_up(name: str) -> Addresses:
    """
    The name's addresses, in the system's order of preference. Blocks.

    @raise OSError: if the name has none, or the machine lacks what it takes to ask (see
        L{relay.rules.shortage}).
    """
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        # Out of descriptors, getaddrinfo fails with errors that do not say so, such as EINVAL. Then
        # this socket fails with the true one.
        socket.socket().close()
        raise
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def in_thread(work: Callable[[], None]) -> None:
    """
    Begin C{work} in a thread that ends with the process, whatever it is doing then.

    @raise NoThread: if the machine allows no more threads.
    """
    try:
        threading.Thread(target=work, daemon=True, name="look-up").start()
    except RuntimeError as error:
        raise NoThread(str(error)) from None


@frozen
class _Answer:
    addresses: Addresses
    until: float


class Resolver:
    """
    Resolves names. Each name has one look-up at a time; all that ask meanwhile wait for that one.

    @param reactor: must also be an L{IReactorFromThreads}.
    @param look_up: answers a name; may block.
    @param begin: runs the look-up elsewhere, by default in a thread.
    """

    def __init__(
        self, reactor: IReactorTime, look_up: LookUp = look_up, begin: Begin = in_thread
    ) -> None:
        self._reactor = reactor
        self._look_up = look_up
        self._begin = begin
        self._kept: dict[str, _Answer] = {}
        self._waiting: dict[str, list[Deferred[Addresses]]] = {}

    async def resolve(self, name: str) -> Addresses:
        """
        The addresses of a name. The only address of an address is itself.

        It has no deadline of its own: cancel it to stop waiting.

        @raise OSError: if the name cannot be resolved.
        """
        if isIPAddress(name) or isIPv6Address(name):
            return (name,)
        kept = self._kept.get(name)
        if kept is not None and self._reactor.seconds() < kept.until:
            return kept.addresses
        return await self._ask(name)

    def _ask(self, name: str) -> Deferred[Addresses]:
        if name not in self._waiting:
            # First, because it may raise. The answer comes in a later turn of the reactor.
            self._begin(lambda: self._work(name))
        waiting = self._waiting.setdefault(name, [])
        answer: Deferred[Addresses] = Deferred(waiting.remove)
        waiting.append(answer)
        return answer

    def _work(self, name: str) -> None:
        """Look the name up. Runs in the thread."""
        result: Addresses | Failure
        try:
            result = self._look_up(name)
        except Exception:
            result = Failure()
        IReactorFromThreads(self._reactor).callFromThread(self._done, name, result)

    def _done(self, name: str, result: Addresses | Failure) -> None:
        if not isinstance(result, Failure):
            self._kept[name] = _Answer(result, self._reactor.seconds() + KEEP_SECONDS)
        waiting = self._waiting.pop(name)
        while waiting:  # a callback may cancel another Deferred, which leaves the list
            waiting.pop(0).callback(result)
