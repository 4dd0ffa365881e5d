"""
Look names up without the reactor's thread pool.

Stuck look-ups would fill that pool: twelve cost a good name 6 s, and shutdown joins them all. Here
each name has a thread of its own while it is looked up, and nothing waits for it at shutdown.
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
"""How long an answer is used again. Failures are never kept."""

Addresses = tuple[str, ...]
LookUp = Callable[[str], Addresses]
Begin = Callable[[Callable[[], None]], None]


def look_up(name: str) -> Addresses:
    """
    The name's addresses in the system's order of preference. Blocks.

    @raise OSError: if it has none, or nothing was left to ask by (see L{relay.rules.shortage}).
    """
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        # Without a descriptor it fails in many ways, as for EINVAL; this says which it is.
        socket.socket().close()
        raise
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def in_thread(work: Callable[[], None]) -> None:
    """
    Begin C{work} in a thread that ends with the process, whatever it is doing.

    @raise NoThread: if there may be no more of them.
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
    Resolve names, one look-up a name at a time, whoever asks meanwhile waits for the same one.

    @param reactor: also an L{IReactorFromThreads}.
    @param begin: starts the blocking part; tests give one that does not block.
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
        The addresses of a name; an address is its own.

        It has no deadline of its own: whoever waits no longer cancels.

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
            # Before anybody waits: it may raise, and answers only by way of the reactor.
            self._begin(lambda: self._work(name))
        waiting = self._waiting.setdefault(name, [])
        answer: Deferred[Addresses] = Deferred(waiting.remove)
        waiting.append(answer)
        return answer

    def _work(self, name: str) -> None:
        """In the thread."""
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
        while waiting:  # one who is told may cancel another
            waiting.pop(0).callback(result)
