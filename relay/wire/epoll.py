"""The sockets of many lines behind one descriptor that the reactor watches."""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.timing.deadline import Deadline

_log = Logger()

LINES_A_TURN = 256
"""Most lines that are read or written in one turn of the reactor."""

TURN_SECONDS = 0.005
"""Seconds of one turn of the reactor in which lines are served."""

SHARE_SECONDS = TURN_SECONDS / 25
"""
Seconds that one line may take at once. A line that takes longer is dear: it reads less next time,
and waits until all others have been served. Else a few that flood would make everybody wait.
"""

DEAR_SECONDS = TURN_SECONDS / 20
"""Seconds of a turn in which dear lines are served: the others wait no longer for the next turn."""

IN, OUT = getattr(select, "EPOLLIN", 1), getattr(select, "EPOLLOUT", 4)

RETRY_SECONDS = 0.1
"""Seconds until the next try to open an epoll, if there was no descriptor for it."""


class WatchedLine(Protocol):
    """
    A line, as the hub sees it: an L{IReadWriteDescriptor}.

    @ivar number: the number of its socket, also after the socket is closed.
    @ivar has_more: whether its last read took as much as it may, so that more may wait.
    """

    number: int
    has_more: bool

    def fileno(self) -> int:
        """The number of its socket; -1 if the socket is closed."""

    def doRead(self) -> Exception | None:
        """Read what there is, or say how the connection ended."""

    def read_less(self) -> None:
        """Read less at once: what was read took longer than L{SHARE_SECONDS}."""

    def doWrite(self) -> Exception | None:
        """Write what waits, or say how the connection ended."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection ended for this reason."""


@implementer(IReadDescriptor)
class Hub:
    """
    Watches many sockets by an epoll of its own, which the reactor watches.

    The reactor takes 2.8 µs for each descriptor that is ready (a context for its log, two checks).
    That is as much as all that the relay does with a message. The hub takes 0.3 µs.

    A socket is watched by the hub alone, for reading and for writing. If the reactor watched it
    too, both could find the same reset in one turn. The hub would close the socket, an accept could
    get its number, and the reactor would then end the new connection for the old one's reset.

    The hub has the methods of L{IReactorFDSet} that lines use, so that a reactor can stand in for
    it where there is no epoll.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: an L{IReactorFDSet} with L{IReactorTime}.
        """
        self._reactor = reactor
        self._watched: dict[int, tuple[WatchedLine, int]] = {}  # by number, with the event mask
        self._epoll: Any = None  # open only while there are lines
        self._opening = Deadline(reactor)
        self._ready: list[tuple[int, int]] = []  # found by the epoll, and still to be served
        self._dear: dict[int, None] = {}  # numbers of lines that take long, last served last

    def addReader(self, line: WatchedLine) -> None:
        """Watch whether there is something to read."""
        self._watch(line, self._mask(line) | IN)

    def removeReader(self, line: WatchedLine) -> None:
        """No longer watch whether there is something to read."""
        self._watch(line, self._mask(line) & ~IN)

    def addWriter(self, line: WatchedLine) -> None:
        """Watch whether there is room to write."""
        self._watch(line, self._mask(line) | OUT)

    def removeWriter(self, line: WatchedLine) -> None:
        """No longer watch whether there is room to write."""
        self._watch(line, self._mask(line) & ~OUT)

    def _mask(self, line: WatchedLine) -> int:
        """The events watched for; 0 if none, or if the number is another line's by now."""
        watched, mask = self._watched.get(line.number, (None, 0))
        return mask if watched is line else 0

    def _watch(self, line: WatchedLine, mask: int) -> None:
        before = self._mask(line)
        is_closed = line.fileno() != line.number
        if mask == before or (is_closed and not before):
            return
        if mask:
            self._watched[line.number] = (line, mask)
        else:
            del self._watched[line.number]
            self._dear.pop(line.number, None)
        if self._epoll is None:
            self._open_or_not()
            return
        if not before:
            self._epoll.register(line.number, mask)
        elif not is_closed:  # the kernel takes a closed socket out of the epoll by itself
            self._epoll.modify(line.number, mask) if mask else self._epoll.unregister(line.number)
        if not self._watched:
            self._close()

    # -- its epoll -------------------------------------------------------------------------

    def _open_or_not(self) -> None:
        if not self._watched:
            self._opening.clear()
        elif not self._opening.is_set:
            # In a turn of its own. In this turn the epoll might get the number of a socket that was
            # closed a moment ago. What the reactor's poll has found for that socket would then be
            # taken for the epoll's, and a reset would end all lines.
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
        """The epoll's number."""
        return int(self._epoll.fileno())

    def logPrefix(self) -> str:
        """The prefix of what is logged while the hub reads."""
        return "relay"

    def doRead(self) -> None:
        """
        Let the lines read and write that can, for L{TURN_SECONDS}; the rest goes first next turn.
        Dear lines come behind all others, but at least one of them in each turn.
        """
        ready = self._ready or self._epoll.poll(0, LINES_A_TURN)
        if not self._dear:
            self._ready = self._serve(ready, SHARE_SECONDS)
            return
        dear = {number: events for number, events in ready if number in self._dear}
        self._ready = self._serve([each for each in ready if each[0] not in dear], SHARE_SECONDS)
        self._serve_dear(dear)
        if self._ready:  # then the next turn does not ask the epoll, which finds them again
            self._ready += dear.items()

    def _serve(self, ready: list[tuple[int, int]], share: float) -> list[tuple[int, int]]:
        """
        Serve lines, one after the other.

        @param share: seconds after which a line is dear.
        @return: those for which there was no time.
        """
        watched, seconds = self._watched, self._reactor.seconds
        before = seconds()
        end = before + TURN_SECONDS
        for at, (number, events) in enumerate(ready, 1):
            line, mask = watched.get(number, (None, 0))
            if line is None:
                continue  # another line's end in this turn ended this one too
            try:
                # A read also finds a reset, which is an event of its own.
                why = line.doRead() if mask == IN else self._write_and_read(line, events)
            except Exception as error:
                _log.failure("exception while reading or writing")
                why = error
            if why is not None:
                self._end(line, Failure(why))
            now = seconds()
            if now - before > share:
                line.read_less()
                if line.has_more and number in watched:
                    self._dear[number] = None
            if now >= end:
                return ready[at:]
            before = now
        return []

    def _serve_dear(self, ready: dict[int, int]) -> None:
        """Serve dear lines for L{DEAR_SECONDS}, first those that have waited longest."""
        end = self._reactor.seconds() + DEAR_SECONDS
        for number in [number for number in self._dear if number in ready]:
            if number in self._dear:  # else another line's end in this turn ended this one too
                del self._dear[number]
                self._serve([(number, ready[number])], SHARE_SECONDS / 4)
            if self._reactor.seconds() >= end:
                return

    def _write_and_read(self, line: WatchedLine, events: int) -> Exception | None:
        """Serve a line that waits for room to write."""
        if events & ~IN:
            why = line.doWrite()
            if why is not None:
                return why
        return line.doRead() if events & ~OUT and self._mask(line) & IN else None

    def _end(self, line: WatchedLine, reason: Failure) -> None:
        """End one line. An exception from it is logged, and reaches no other line."""
        self._watch(line, 0)
        try:
            line.connectionLost(reason)
        except Exception:
            _log.failure("exception at the end of a connection")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, and with it all lines."""
        for line, _ in list(self._watched.values()):
            self._end(line, reason)
