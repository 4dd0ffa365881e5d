"""One descriptor of the reactor's for the sockets of many lines."""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.timing.deadline import Deadline
from relay.timing.turns import SHARE

_log = Logger()

BATCH = 256
"""Lines that are dealt with in one turn of the reactor at most."""

IN, OUT = getattr(select, "EPOLLIN", 1), getattr(select, "EPOLLOUT", 4)

RETRY_SECONDS = 0.1
"""Until the next try to have an epoll, if there was no descriptor for it."""


class Watched(Protocol):
    """
    A line, as the hub sees it: an L{IReadWriteDescriptor}.

    @ivar number: of its socket, also after that is closed.
    """

    number: int

    def fileno(self) -> int:
        """The number of its socket; -1 if that is closed."""

    def doRead(self) -> Exception | None:
        """Read what there is, or say how the connection ended."""

    def doWrite(self) -> Exception | None:
        """Write what waits, or say how the connection ended."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection ended so."""


@implementer(IReadDescriptor)
class Hub:
    """
    Watches many sockets by an epoll of its own, which the reactor watches.

    The reactor takes 2.8 µs for each descriptor that is ready (a context for its log, two checks),
    as much as all that the relay does with a message. This takes 0.3.

    A socket is watched here alone, for reading and for writing. If the reactor watched it too, its
    poll could find a reset that the hub finds as well: the hub closes the socket, an accept in the
    same turn gets its number, and what was found for the old connection would end the new one.

    It has the methods of L{IReactorFDSet} that lines use, so that a reactor can stand in for it
    where there is no epoll.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: an L{IReactorFDSet} with L{IReactorTime}.
        """
        self._reactor = reactor
        self._watched: dict[int, tuple[Watched, int]] = {}  # with what is looked for
        self._epoll: Any = None  # only while there are lines, so that nothing is left open
        self._opening = Deadline(reactor)
        self._ready: list[tuple[int, int]] = []  # found, and not dealt with yet

    def addReader(self, line: Watched) -> None:
        """Watch whether there is something to read."""
        self._watch(line, self._mask(line) | IN)

    def removeReader(self, line: Watched) -> None:
        """Watch that no longer."""
        self._watch(line, self._mask(line) & ~IN)

    def addWriter(self, line: Watched) -> None:
        """Watch whether there is room to write."""
        self._watch(line, self._mask(line) | OUT)

    def removeWriter(self, line: Watched) -> None:
        """Watch that no longer."""
        self._watch(line, self._mask(line) & ~OUT)

    def _mask(self, line: Watched) -> int:
        """What is looked for; 0 also if its number is another's by now."""
        watched, mask = self._watched.get(line.number, (None, 0))
        return mask if watched is line else 0

    def _watch(self, line: Watched, mask: int) -> None:
        before = self._mask(line)
        is_closed = line.fileno() != line.number
        if mask == before or (is_closed and not before):
            return
        if mask:
            self._watched[line.number] = (line, mask)
        else:
            del self._watched[line.number]
        if self._epoll is None:
            self._open_or_not()
            return
        if not before:
            self._epoll.register(line.number, mask)
        elif not is_closed:  # else it has left the epoll by itself
            self._epoll.modify(line.number, mask) if mask else self._epoll.unregister(line.number)
        if not self._watched:
            self._close()

    # -- its epoll -------------------------------------------------------------------------

    def _open_or_not(self) -> None:
        if not self._watched:
            self._opening.clear()
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
        for number, (_, mask) in self._watched.items():
            self._epoll.register(number, mask)
        self._reactor.addReader(self)

    def _close(self) -> None:
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
        """Let those read and write that can, for a share of the turn; the others are the next."""
        ready = self._ready or self._epoll.poll(0, BATCH)
        self._ready = []
        watched, seconds = self._watched, self._reactor.seconds
        end = seconds() + SHARE
        for at, (number, events) in enumerate(ready, 1):
            line, mask = watched.get(number, (None, 0))
            if line is None:
                continue  # the end of one before it was its end too
            try:
                # A reset is an event of its own, and a read finds it too.
                why = line.doRead() if mask == IN else self._write_and_read(line, events)
            except Exception as error:
                _log.failure("exception while reading or writing")
                why = error
            if why is not None:
                self._end(line, Failure(why))
            if seconds() >= end:
                self._ready = ready[at:]
                return

    def _write_and_read(self, line: Watched, events: int) -> Exception | None:
        """For a line that waits for room."""
        if events & ~IN:
            why = line.doWrite()
            if why is not None:
                return why
        return line.doRead() if events & ~OUT and self._mask(line) & IN else None

    def _end(self, line: Watched, reason: Failure) -> None:
        """The end of one line reaches no other, whatever it raises."""
        self._watch(line, 0)
        try:
            line.connectionLost(reason)
        except Exception:
            _log.failure("exception at the end of a connection")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends."""
        for line, _ in list(self._watched.values()):
            self._end(line, reason)
