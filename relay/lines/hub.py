"""One descriptor of the reactor's for the sockets of many lines."""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.deadline import Deadline
from relay.turns import SHARE

_log = Logger()

BATCH = 256
"""Lines that are read in one turn of the reactor at most."""

RETRY_SECONDS = 0.1
"""Until the next try to have an epoll, if there was no descriptor for it."""


class Watched(Protocol):
    """
    A line, as the hub sees it: an L{IReadDescriptor}.

    @ivar number: of its socket, also after that is closed.
    """

    number: int

    def fileno(self) -> int:
        """The number of its socket; -1 if that is closed."""

    def doRead(self) -> Exception | None:
        """Read what there is, or say how the connection ended."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection ended so."""


@implementer(IReadDescriptor)
class Hub:
    """
    Watches many sockets by an epoll of its own, which the reactor watches.

    The reactor takes 2.8 µs for each descriptor that is ready (a context for its log, two checks),
    as much as all that the relay does with a message. This takes 0.3.

    It has the C{addReader} and C{removeReader} of L{IReactorFDSet}, so that a reactor can stand in
    for it where there is no epoll.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: an L{IReactorFDSet} with L{IReactorTime}.
        """
        self._reactor = reactor
        self._lines: dict[int, Watched] = {}
        self._epoll: Any = None  # only while there are lines, so that nothing is left open
        self._opening = Deadline(reactor)
        self._ready: list[tuple[int, int]] = []  # found, and not read yet

    def addReader(self, line: Watched) -> None:
        """Watch this one too."""
        if self._lines.get(line.number) is line:
            return
        self._lines[line.number] = line
        if self._epoll is not None:
            self._epoll.register(line.number, select.EPOLLIN)
        elif not self._opening.is_set:
            # In a turn of its own. Now the reactor may be at what its poll has found, and the epoll
            # might get the number of a socket that was closed a moment ago: what was found for that
            # would be taken for the epoll's, and a reset for the end of all lines.
            self._opening.set(0, self._open)

    def _open(self) -> None:
        try:
            self._epoll = select.epoll()
        except OSError:
            self._opening.set(RETRY_SECONDS, self._open)  # out of descriptors
            return
        for number in self._lines:
            self._epoll.register(number, select.EPOLLIN)
        self._reactor.addReader(self)

    def removeReader(self, line: Watched) -> None:
        """Watch it no longer."""
        if self._lines.get(line.number) is not line:
            return
        del self._lines[line.number]
        if self._epoll is None:
            if not self._lines:
                self._opening.clear()
            return
        if line.fileno() == line.number:  # a closed socket has left the epoll by itself
            self._epoll.unregister(line.number)
        if not self._lines:
            self._reactor.removeReader(self)
            epoll, self._epoll = self._epoll, None
            epoll.close()

    # -- IReadDescriptor -------------------------------------------------------------------

    def fileno(self) -> int:
        """The epoll's."""
        return int(self._epoll.fileno())

    def logPrefix(self) -> str:
        """For what is logged while it reads."""
        return "relay"

    def doRead(self) -> None:
        """Let those read that can, for a share of the turn; the others are first in the next."""
        ready = self._ready or self._epoll.poll(0, BATCH)
        self._ready = []
        lines, seconds = self._lines, self._reactor.seconds
        end = seconds() + SHARE
        for at, (number, _) in enumerate(ready, 1):
            line = lines.get(number)
            if line is None:
                continue  # the end of one before it was its end too
            try:
                why = line.doRead()
            except Exception as error:
                _log.failure("exception while reading")
                why = error
            if why is not None:
                self.removeReader(line)
                line.connectionLost(Failure(why))
            if seconds() >= end:
                self._ready = ready[at:]
                return

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        for line in list(self._lines.values()):
            self.removeReader(line)
            line.connectionLost(reason)
